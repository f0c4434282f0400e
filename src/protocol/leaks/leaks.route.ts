import type { Readable } from 'node:stream'
import { Value } from '@sinclair/typebox/value'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { reportLeaks } from '../../api-keys/index.js'
import type { Context } from '../../context.js'
import { clientAddress, originOf, ProblemError } from '../../http/index.js'
import { TemporarilyUnavailableError } from '../../oauth/index.js'
import { sha256 } from '../../platform/crypto/hash.js'
import { createUnprovedBodies, isTooLong, readBody } from './bodies.js'
import { type Reporter, reporterAuthorization } from './reporter.js'
import { type LeakReport, type LeakVerdict, most, reportsSchema } from './schemas.js'

/**
 * `POST /leaks`: keys that were found in public, in the format of GitHub's secret scanning partners. Who has a token is known
 * before the body is read; a signature is over the very bytes of it. The answer says of each whether it is a key of ours, by its hash:
 * no answer holds a key.
 */
export function leaksRoute(app: FastifyInstance, ctx: Context): void {
  const authorize = reporterAuthorization(ctx)
  const readUnproved = createUnprovedBodies()
  const reporters = new WeakMap<FastifyRequest, Reporter>()
  let signedUnderWay = 0

  /**
   * Takes a turn for what is proved and whole: nobody holds one while they send.
   *
   * @throws {TemporarilyUnavailableError} where enough have one
   */
  async function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (signedUnderWay >= most.signedAtOnce) {
      const message = 'Other signed reports are being worked on. Try again soon.'
      throw new TemporarilyUnavailableError(message, { reason: 'signed_reports', retryAfter: 2 })
    }
    signedUnderWay++
    try {
      return await work()
    } finally {
      signedUnderWay--
    }
  }

  async function report(request: FastifyRequest, actor: string, body: Buffer): Promise<readonly LeakVerdict[]> {
    const reports = readReports(body)
    const origin = originOf(request)
    const found = reports.map(({ token, url }) => ({ token, url: url ?? '' }))
    const known = await reportLeaks(ctx, found, { actor, origin })
    const labels = known.map((isKnown) => (isKnown ? 'true_positive' : 'false_positive') satisfies LeakVerdict['label'])
    for (const label of labels) ctx.audit.count({ type: 'leak.reported', actor, ip: origin.ip, reason: label })
    return reports.map((each, index) => answer(each, labels[index]!))
  }

  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', (request: FastifyRequest, payload: Readable) =>
    reporters.get(request)!.isSigner ? readUnproved(payload, clientAddress(request)) : readBody(payload),
  )
  app.post('/leaks', {
    onRequest: async (request) => {
      const reporter = await authorize(request)
      reporters.set(request, reporter)
      const limit = reporter.isSigner ? most.signedBytes : most.bytes
      if (Number(request.headers['content-length'] ?? 0) > limit) throw isTooLong(limit)
    },
    handler: async (request) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
      const reporter = reporters.get(request)!
      const { name } = await reporter.prove(body)
      const work = () => report(request, name, body)
      return reporter.isSigner ? inTurn(work) : work()
    },
  })
}

function answer({ token, type = '' }: LeakReport, label: LeakVerdict['label']): LeakVerdict {
  return { token_hash: sha256(token).toString('hex'), token_type: type, label }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @throws {ProblemError} that repeats nothing of it */
function readReports(body: Buffer): readonly LeakReport[] {
  const reports = parse(body)
  if (Array.isArray(reports) && reports.length > most.reports) {
    const message = `There are more than ${most.reports} reports: send the rest in another request.`
    throw new ProblemError(message, { status: 413, kind: 'too-many-reports', reason: 'reports_too_many' })
  }
  if (Value.Check(reportsSchema, reports)) return reports
  throw new ProblemError('The body is not a list of objects with a token, a type and a url.', {
    kind: 'invalid-members',
    reason: 'body_invalid',
  })
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(body))
  } catch {
    // Without its cause, which may repeat a part of what was sent: a key.
    throw new ProblemError('The body is not JSON in UTF-8.', { kind: 'malformed', reason: 'json_malformed' })
  }
}
