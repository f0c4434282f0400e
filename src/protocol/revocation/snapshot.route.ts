import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { encodedQuery } from '../../http/index.js'
import { compileParameters, readParameters, TemporarilyUnavailableError } from '../../oauth/index.js'
import { isSigningAlg, type SigningAlg } from '../../tokens/index.js'
import { acceptsGzip } from './accepts-gzip.js'
import { liveEntries, toWire } from './entries.js'
import { authorizeResourceServer, readPosition } from './resource-server.js'

const parse = compileParameters(Type.Object({ after: Type.Optional(Type.String()) }))
const compress = promisify(gzip)

/** Entries of one document: 3 MB, and some 10 ms of the event loop to write and sign. */
const mostEntries = 20_000

/** Entries that are collected in one turn of the event loop. */
const slice = 2_000

/** Seconds: a document is to be read now. Whoever was given an old one would not know what came after it. */
const lifetime = 60

/**
 * Of documents that others go on behind: milliseconds that each is kept, and bytes of all of them. Whoever begins at the same
 * time as many others, after a network that was away for one, reads what was made for the first of them.
 */
const kept = { milliseconds: 20_000, bytes: 8 * 1024 * 1024 }

/** What tells a snapshot from any other JWT. */
export const snapshotType = 'revocation-snapshot+jwt'

interface SnapshotDocument {
  readonly body: Buffer
  /** Something comes behind it. */
  readonly more: boolean
  /** Of the key that signed it. */
  readonly kid: string
  readonly madeAt: number
}

/** `GET /revocations/snapshot`: all that is revoked and concerns the resource server, in signed documents. */
export function snapshotRoute(app: FastifyInstance, ctx: Context): void {
  /** By audience, position and encoding: whoever asks for the same meanwhile gets the same. */
  const making = new Map<string, Promise<SnapshotDocument>>()
  const made = new Map<string, SnapshotDocument>()
  let last: Promise<unknown> = Promise.resolve()
  let resets = 0
  // Of what was put into another order, nothing that was made says where it ends.
  ctx.revocations.follow({
    onNews: () => undefined,
    onReset() {
      resets++
      made.clear()
    },
  })

  function isGood({ madeAt, kid }: SnapshotDocument): boolean {
    const age = ctx.clock.now().getTime() - madeAt
    return age >= 0 && age < kept.milliseconds && ctx.keys.list().some((key) => key.kid === kid)
  }

  /** The oldest go first. What is at the end of the list would say nothing of what comes next. */
  function keep(id: string, document: SnapshotDocument): void {
    if (document.more) made.set(id, document)
    let bytes = 0
    for (const [each, { body }] of [...made].reverse()) {
      bytes += body.length
      if (bytes > kept.bytes) made.delete(each)
    }
  }

  function snapshot(audience: string, after: bigint, gzip: boolean): Promise<SnapshotDocument> {
    const id = `${gzip ? 'gzip' : 'plain'} ${after} ${audience}`
    const known = made.get(id)
    if (known && isGood(known)) return Promise.resolve(known)
    made.delete(id)
    const same = making.get(id)
    if (same) return same
    if (making.size >= 20) {
      throw new TemporarilyUnavailableError('Others wait for their snapshot.', { reason: 'snapshots', retryAfter: 2 })
    }
    // One after the other: each is megabytes, and a few milliseconds of work at a time.
    const next = last
      .then(async () => {
        const before = resets
        const document = await makeSnapshot(ctx, audience, after, gzip)
        // While it was signed or packed: whoever went on behind it would miss what came back.
        if (resets !== before) {
          throw new TemporarilyUnavailableError('The revocations were read anew.', {
            reason: 'snapshots',
            retryAfter: 1,
          })
        }
        keep(id, document)
        return document
      })
      .finally(() => making.delete(id))
    last = next.catch(() => undefined)
    making.set(id, next)
    return next
  }

  app.get('/revocations/snapshot', async (request, reply) => {
    const { audience } = await authorizeResourceServer(ctx, request)
    const { after = '0' } = parse(readParameters(encodedQuery(request)))
    const gzip = acceptsGzip(request.headers['accept-encoding'])
    const { body } = await snapshot(audience, readPosition(after), gzip)
    reply.type('application/jwt').header('Vary', 'Accept-Encoding')
    if (gzip) reply.header('Content-Encoding', 'gzip')
    return reply.send(body)
  })
}

async function makeSnapshot(ctx: Context, audience: string, after: bigint, gzip: boolean): Promise<SnapshotDocument> {
  await ctx.revocations.refresh()
  const now = ctx.clock.now()
  const pieces: string[] = []
  let some: string[] = []
  let reached = 0
  let more = false
  for (const entry of liveEntries(ctx.revocations.behind(audience, after), now)) {
    if (pieces.length * slice === mostEntries) {
      more = true
      break
    }
    some.push(toWire(entry))
    reached = entry.position
    if (some.length < slice) continue
    pieces.push(some.join(','))
    some = []
    await new Promise(setImmediate)
  }
  // In the turn in which the last was read: nothing lies between.
  const position = more ? BigInt(reached) : ctx.revocations.position()
  if (some.length > 0) pieces.push(some.join(','))
  const { issuer } = ctx.config.server
  const iat = Math.floor(now.getTime() / 1000)
  const claims = { iss: issuer, aud: audience, iat, exp: iat + lifetime, position: String(position), more }
  const alg = algFor(ctx, audience)
  const kid = ctx.keys.kidOf(alg)
  const member = `"revocations":[${pieces.join(',')}]`
  const signed = Buffer.from(await ctx.keys.sign(claims, { alg, typ: snapshotType, member }), 'latin1')
  const body = gzip ? await compress(signed, { level: constants.Z_BEST_SPEED }) : signed
  return { body, more, kid, madeAt: now.getTime() }
}

function algFor(ctx: Context, audience: string): SigningAlg {
  const { signingAlg } = ctx.config.keys
  const alg = ctx.resources.find(audience)?.signingAlg ?? signingAlg
  return isSigningAlg(alg) ? alg : signingAlg
}
