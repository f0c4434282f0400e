import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { encodedQuery } from '../../http/index.js'
import { compileParameters, readParameters, TemporarilyUnavailableError } from '../../oauth/index.js'
import { isSigningAlg } from '../../tokens/index.js'
import { acceptsGzip } from './accepts-gzip.js'
import { liveEntries, type WireEntry } from './entries.js'
import { authorizeResourceServer, readPosition } from './resource-server.js'

const parse = compileParameters(Type.Object({ after: Type.Optional(Type.String()) }))
const compress = promisify(gzip)

/** Entries of one document: 3 MB, and some 10 ms of the event loop to write and sign. */
const mostEntries = 20_000

/** Entries that are collected in one turn of the event loop. */
const slice = 2_000

/** Seconds: a document is to be read now. Whoever was given an old one would not know what came after it. */
const lifetime = 60

/** What tells a snapshot from any other JWT. */
export const snapshotType = 'revocation-snapshot+jwt'

/** `GET /revocations/snapshot`: all that is revoked and concerns the resource server, in signed documents. */
export function snapshotRoute(app: FastifyInstance, ctx: Context): void {
  /** By audience and position: whoever asks for the same meanwhile gets the same. */
  const making = new Map<string, Promise<Buffer>>()
  let last: Promise<unknown> = Promise.resolve()

  function snapshot(audience: string, after: bigint): Promise<Buffer> {
    const id = `${after} ${audience}`
    const same = making.get(id)
    if (same) return same
    if (making.size >= 20) {
      throw new TemporarilyUnavailableError('Others wait for their snapshot.', { reason: 'snapshots', retryAfter: 2 })
    }
    // One after the other: each is megabytes, and a few milliseconds of work at a time.
    const made = last.then(() => makeSnapshot(ctx, audience, after)).finally(() => making.delete(id))
    last = made.catch(() => undefined)
    making.set(id, made)
    return made
  }

  app.get('/revocations/snapshot', async (request, reply) => {
    const { audience } = await authorizeResourceServer(ctx, request)
    const { after = '0' } = parse(readParameters(encodedQuery(request)))
    const document = await snapshot(audience, readPosition(after))
    reply.type('application/jwt').header('Vary', 'Accept-Encoding')
    if (!acceptsGzip(request.headers['accept-encoding'])) return reply.send(document)
    const packed = await compress(document, { level: constants.Z_BEST_SPEED })
    return reply.header('Content-Encoding', 'gzip').send(packed)
  })
}

async function makeSnapshot(ctx: Context, audience: string, after: bigint): Promise<Buffer> {
  await ctx.revocations.refresh()
  const now = ctx.clock.now()
  const revocations: WireEntry[] = []
  let position = after
  let more = false
  for (const entry of liveEntries(ctx.revocations.behind(audience, after), now)) {
    if (revocations.length === mostEntries) {
      more = true
      break
    }
    revocations.push(entry.wire)
    position = BigInt(entry.position)
    if (revocations.length % slice === 0) await new Promise(setImmediate)
  }
  // In the turn in which the last was read: nothing lies between.
  if (!more) position = ctx.revocations.position()
  const { issuer } = ctx.config.server
  const iat = Math.floor(now.getTime() / 1000)
  const claims = { iss: issuer, aud: audience, iat, exp: iat + lifetime, position: String(position), more, revocations }
  const alg = ctx.resources.find(audience)?.signingAlg ?? ctx.config.keys.signingAlg
  const signed = await ctx.keys.sign(claims, {
    alg: isSigningAlg(alg) ? alg : ctx.config.keys.signingAlg,
    typ: snapshotType,
  })
  return Buffer.from(signed, 'latin1')
}
