import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Context } from '../../context.js'
import { ServerError } from '../../oauth/index.js'
import { sha256 } from '../../platform/crypto/hash.js'
import { listUri, type StatusBits } from '../../revocation/index.js'
import { isSigningAlg } from '../../tokens/index.js'
import { encodeStatusList } from './encode.js'

const compress = promisify(gzip)

/** A Status List Token as it is sent. Token Status List §5.1. */
export interface StatusListDocument {
  readonly body: Buffer
  /** In base64url a quarter of the bytes is lost, which this brings back. */
  readonly gzipped: Buffer
  /** Without its quotes. */
  readonly etag: string
  /** Milliseconds since 1970: from then on it is to be asked for again. */
  readonly until: number
  /** Of the key that signed it. */
  readonly kid: string
}

export interface StatusListDocuments {
  /** @returns undefined for a list that is unknown, or over */
  readonly find: (id: Buffer) => Promise<StatusListDocument | undefined>
  /** The addresses of all lists with tokens that may be alive. §9.3. */
  readonly list: () => Promise<readonly string[]>
}

/**
 * Seconds beyond the two `ttl` that a list may be on its way (one in a cache between us, one at whoever checks tokens): for
 * clocks that differ, and for asking again when an answer failed.
 */
const grace = 60

/** Of lists that were asked for and are over. */
const rememberedOver = 10_000

/** Makes each list at most once per `ttl`; whoever asks meanwhile gets the same, or waits for the one that is being made. */
export function createStatusListDocuments(ctx: Context): StatusListDocuments {
  const { ttl } = ctx.config.statusLists
  const made = new Map<string, StatusListDocument>()
  const making = new Map<string, Promise<StatusListDocument | undefined>>()
  /** By when each is to be looked for again, though a list that is over does not come back unless a clock was wrong. */
  const over = new Map<string, number>()
  let aggregation: { readonly uris: readonly string[]; readonly until: number } | undefined

  async function make(key: string, id: Buffer): Promise<StatusListDocument | undefined> {
    const readAt = await ctx.statusLists.refresh()
    sweep(readAt.getTime())
    const list = ctx.statusLists.find(id)
    const until = readAt.getTime() + ttl * 1000
    if (!list) {
      if (over.size >= rememberedOver) over.clear()
      over.set(key, until)
      return undefined
    }
    const document = await describe(ctx, list, readAt, until)
    made.set(key, document)
    return document
  }

  function sweep(now: number): void {
    for (const [key, { until }] of made) if (!isFresh(until, now)) made.delete(key)
    for (const [key, until] of over) if (!isFresh(until, now)) over.delete(key)
  }

  /** A clock that was set back must not make a document last. */
  function isFresh(until: number, now = ctx.clock.now().getTime()): boolean {
    return now < until && until - now <= ttl * 1000
  }

  /** What a key signed ends with the key: nobody who has heard of that would take the list (attack 79). */
  const isKept = (kid: string): boolean => ctx.keys.list().some((key) => key.kid === kid)

  return {
    async find(id) {
      const key = id.toString('latin1')
      const known = made.get(key)
      if (known && isFresh(known.until) && isKept(known.kid)) return known
      if (isFresh(over.get(key) ?? 0)) return undefined
      const running = making.get(key)
      if (running) return running
      const next = make(key, id).finally(() => making.delete(key))
      making.set(key, next)
      return next
    },

    async list() {
      if (aggregation && isFresh(aggregation.until)) return aggregation.uris
      const readAt = await ctx.statusLists.refresh()
      const uris = ctx.statusLists.list().map((id) => listUri(ctx.config.server.issuer, id))
      aggregation = { uris: uris.sort(), until: readAt.getTime() + ttl * 1000 }
      return aggregation.uris
    },
  }
}

async function describe(ctx: Context, list: StatusBits, readAt: Date, until: number): Promise<StatusListDocument> {
  const { issuer } = ctx.config.server
  const { ttl } = ctx.config.statusLists
  const alg = ctx.config.keys.signingAlg
  if (!isSigningAlg(alg)) throw new ServerError('The server has no such algorithm.', { reason: 'signing_alg_unknown' })
  const iat = Math.floor(readAt.getTime() / 1000)
  const claims = {
    iss: issuer,
    sub: listUri(issuer, list.id),
    iat,
    exp: iat + 2 * ttl + grace,
    ttl,
    status_list: await encodeStatusList(list.bits),
  }
  const kid = ctx.keys.kidOf(alg)
  const body = Buffer.from(await ctx.keys.sign(claims, { alg, typ: 'statuslist+jwt' }))
  return { body, gzipped: await compress(body), etag: sha256(body).toString('base64url').slice(0, 22), until, kid }
}
