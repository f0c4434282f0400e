import type { Context } from '../../context.js'
import { hmacSha256, timingSafeEqual } from '../../platform/crypto/hash.js'
import type { SecretKey } from '../../secrets/index.js'
import { users } from '../../store/index.js'

/** Accounts that one browser is remembered for: a family's computer. The cookie stays below 256 characters. */
const most = 3

/** A browser at which this account was signed in to before. */
export interface KnownDevice {
  /** Drawn at the login that made it known. */
  readonly id: string
  readonly since: Date
}

/** `<key id>.<milliseconds, base 36>.<16 random bytes>.<16 bytes of the MAC>`, for one account. */
const entryPattern = /^([0-9a-f]{16})\.([0-9a-z]{8,9})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{22})$/

/**
 * What the cookie of a browser holds after a login: that it was there, for this account and up to two others. It is good
 * for nothing but to be told from a stranger: no login, and no name in it, only a MAC over the account.
 *
 * @param cookie what the browser sent
 * @param account the normalised address
 * @param since when its session's user proved who they are: a revocation of the user after that ends it
 */
export function rememberDevice(ctx: Context, cookie: string | undefined, account: string, since: Date): string {
  const key = ctx.secrets.current
  const time = since.getTime().toString(36)
  const id = ctx.random.bytes(16).toString('base64url')
  const entry = [key.id, time, id, mac(key, account, time, id).toString('base64url')].join('.')
  const others = entriesOf(cookie).filter((each) => entryPattern.test(each) && !read(ctx, each, account))
  return [entry, ...others].slice(0, most).join('~')
}

/**
 * The device that the cookie proves for this account. What is forged, altered, another account's or too old proves nothing
 * and costs no statement; what was made before the user was revoked, disabled or got another password is over.
 */
export async function findKnownDevice(
  ctx: Context,
  cookie: string | undefined,
  account: string,
): Promise<KnownDevice | undefined> {
  const [device] = entriesOf(cookie).flatMap((entry) => read(ctx, entry, account) ?? [])
  if (!device) return undefined
  const user = await users.findForLogin(ctx.db, account)
  if (!user || user.disabledAt || (user.notBefore && device.since <= user.notBefore)) return undefined
  return device
}

function entriesOf(cookie: string | undefined): readonly string[] {
  return cookie?.split('~').slice(0, most) ?? []
}

function read(ctx: Context, entry: string, account: string): KnownDevice | undefined {
  const [, keyId = '', time = '', id = '', given = ''] = entryPattern.exec(entry) ?? []
  const key = keyId ? ctx.secrets.find(keyId) : undefined
  if (!key || !timingSafeEqual(mac(key, account, time, id), Buffer.from(given, 'base64url'))) return undefined
  const since = new Date(Number.parseInt(time, 36))
  const end = since.getTime() + ctx.config.sessions.knownDeviceLifetime * 1000
  return ctx.clock.now().getTime() < end ? { id, since } : undefined
}

/** 128 bits (RFC 2104 §5). The length comes first, so that no two accounts make the same message. */
function mac(key: SecretKey, account: string, time: string, id: string): Buffer {
  return hmacSha256(key.derive('device cookie'), `${account.length}:${account}:${time}:${id}`).subarray(0, 16)
}
