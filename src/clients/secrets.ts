import type { Context } from '../context.js'
import { hmacSha256, timingSafeEqual } from '../platform/crypto/hash.js'
import { type ClientSecret, clients } from '../store/index.js'

/** 256 bits: nobody guesses it, so a keyed hash is enough (`performance.md`). */
export function generateSecret(ctx: Pick<Context, 'random'>): string {
  return ctx.random.bytes(32).toString('base64url')
}

/** Whether it is written like a secret of ours: one that somebody brought, of whatever length, may be in a list of words. */
export function looksGenerated(secret: string): boolean {
  return /^[\w-]{43}$/.test(secret)
}

/** Shorter than this, a brought secret counts as chosen by a person. */
export const strongSecretLength = 32

/**
 * A secret as it is kept: HMAC-SHA-256 under a key that is not readable from the database; a weak one under argon2id.
 *
 * @param expiresAt undefined: until it is rotated
 */
export async function hashSecret(
  ctx: Pick<Context, 'random' | 'clock' | 'secrets' | 'passwords'>,
  secret: string,
): Promise<ClientSecret> {
  const common = { id: ctx.random.uuid(), createdAt: ctx.clock.now() }
  if (secret.length < strongSecretLength) {
    return { ...common, method: 'argon2id', hash: Buffer.from(await ctx.passwords.hash(secret)) }
  }
  const key = ctx.secrets.current
  return { ...common, method: 'hmac-sha256', hash: hmacSha256(key.derive('client secret'), secret), keyId: key.id }
}

/** Which of the live secrets this one is, among those that need no slow hash. */
export function findKeyedSecret(
  ctx: Pick<Context, 'secrets'>,
  secrets: readonly ClientSecret[],
  presented: string,
  now: Date,
): ClientSecret | undefined {
  const found = matchKeyedSecret(ctx, secrets, presented)
  return found && isLive(found, now) ? found : undefined
}

/** The same, also of one that has expired and is still known. */
export function matchKeyedSecret(
  ctx: Pick<Context, 'secrets'>,
  secrets: readonly ClientSecret[],
  presented: string,
): ClientSecret | undefined {
  let found: ClientSecret | undefined
  // One hash for two secrets of a rotation: the work is that of `compareWithNothing`.
  const hashes = new Map<string, Buffer>()
  for (const secret of secrets) {
    if (secret.method !== 'hmac-sha256' || secret.keyId === undefined) continue
    const key = ctx.secrets.find(secret.keyId)
    const hash = hashes.get(secret.keyId) ?? (key && hmacSha256(key.derive('client secret'), presented))
    if (!hash) continue
    hashes.set(secret.keyId, hash)
    if (timingSafeEqual(hash, secret.hash)) found = secret
  }
  return found
}

/** The same work as for a client that has a secret: whether a client exists must not show in the time (attack 65). */
export function compareWithNothing(ctx: Pick<Context, 'secrets'>, presented: string): void {
  timingSafeEqual(hmacSha256(ctx.secrets.current.derive('client secret'), presented), Buffer.alloc(32))
}

/** Which of the live secrets this one is, among those under argon2id. */
export async function findSlowSecret(
  ctx: Pick<Context, 'passwords'>,
  secrets: readonly ClientSecret[],
  presented: string,
  now: Date,
): Promise<ClientSecret | undefined> {
  for (const secret of secrets) {
    if (secret.method !== 'argon2id' || !isLive(secret, now)) continue
    if (await ctx.passwords.verify(secret.hash.toString(), presented)) return secret
  }
  return undefined
}

export function hasSlowSecret(secrets: readonly ClientSecret[], now: Date): boolean {
  return secrets.some((secret) => secret.method === 'argon2id' && isLive(secret, now))
}

/** Takes a secret over to the current key of keyed hashes; written behind, never waited for. */
export function takeOver(ctx: Context, secret: ClientSecret, presented: string): void {
  const key = ctx.secrets.current
  if (secret.method !== 'hmac-sha256' || secret.keyId === key.id) return
  clients
    .rehashSecret(ctx.db, secret.id, hmacSha256(key.derive('client secret'), presented), key.id)
    .catch((error) => ctx.log.warn({ err: error }, 'a client secret was not taken over to the new key'))
}

export function isLive(secret: ClientSecret, now: Date): boolean {
  return secret.expiresAt === undefined || secret.expiresAt > now
}

/** The earliest end of a secret that lives: of two while they are exchanged, whichever was shown. */
export function firstSecretEnd(secrets: readonly ClientSecret[], now: Date): Date | undefined {
  const ends = secrets.flatMap(({ expiresAt }) => (expiresAt && expiresAt > now ? [expiresAt.getTime()] : []))
  return ends.length === 0 ? undefined : new Date(Math.min(...ends))
}
