import type { Context, Origin } from '../../context.js'
import { InvalidClientError, jwtSkew, jwtTimeProblem, jwtType, type UnverifiedJwt } from '../../oauth/index.js'
import { sha256 } from '../../platform/crypto/hash.js'
import { clientAssertions, dayBucket } from '../../store/index.js'
import type { Client } from '../directory.js'
import { ClientKeysAwayError, signatureProblem } from '../keys/index.js'
import type { PresentedCredentials } from './method.js'

/** Seconds that an assertion may live: so long its `jti` must be remembered. */
const longestLife = 3_600

/** Characters. */
const longestJti = 1_024

/** Left out, the general one, or that of draft-ietf-oauth-rfc7523bis: what was signed for another purpose proves nothing. */
const types: ReadonlySet<string | undefined> = new Set([undefined, 'jwt', 'client-authentication+jwt'])

const keyUnknown = 'assertion_key_unknown'

interface Proof {
  /** As this process remembers it. */
  readonly remembered: Client | undefined
  readonly origin: Origin
  /** When the request came, in monotonic milliseconds. */
  readonly since: number
}

/**
 * The client whose key has signed the assertion: as this process remembers it or, where that does not do, as it is read again. One
 * that a document describes has the keys that the document says by now: it is read again where it is stale, and for a key that is
 * not known, as a `jwks_uri` is.
 *
 * @throws {InvalidClientError}
 * @throws {ClientKeysAwayError} where its keys, or the document that has them, cannot be fetched now
 */
export async function proveByAssertion(
  ctx: Pick<Context, 'clientDocuments' | 'clientKeys' | 'clients' | 'clock' | 'config'>,
  { clientId, assertion = 'malformed' }: PresentedCredentials,
  { remembered, origin, since }: Proof,
): Promise<{ readonly client: Client; readonly assertion: UnverifiedJwt }> {
  if (!remembered) return refuse('client_unknown')
  let client: Client = remembered
  // What proves nobody has nobody asked.
  const isStale = typeof assertion !== 'string' && ctx.clientDocuments.isStale(client)
  let doubt = isStale ? await readDocument() : undefined
  const known = client
  let problem = await problemOf(client)
  if (problem !== undefined) {
    // As after a wrong secret: it may be from before a change, and a refusal costs the same statements (attack 65).
    client = await found(since)
    if (client !== known) problem = await problemOf(client)
  }
  if (problem === keyUnknown && client.documentHash && client.jwks) {
    if (!isStale) {
      doubt = await readDocument()
      problem = await problemOf(client)
    }
    if (problem === keyUnknown && doubt !== undefined) throw new ClientKeysAwayError(doubt)
  }
  if (typeof assertion === 'string') return refuse(problem ?? assertion)
  if (problem !== undefined) return refuse(problem)
  return { client, assertion }

  async function found(readSince?: number): Promise<Client> {
    return (await ctx.clients.find(clientId, readSince)) ?? refuse('client_unknown')
  }

  async function readDocument(): Promise<string | undefined> {
    const doubt = await ctx.clientDocuments.readForKey(client, { origin, since })
    client = await found()
    return doubt
  }

  async function problemOf(of: Client): Promise<string | undefined> {
    if (of.tokenEndpointAuthMethod !== 'private_key_jwt') return 'client_method_not_registered'
    const found = typeof assertion === 'string' ? assertion : await assertionProblem(ctx, of, assertion, since)
    return found === undefined ? undefined : `assertion_${found}`
  }
}

function refuse(reason: string): never {
  throw new InvalidClientError('Client authentication failed.', { reason })
}

/**
 * Why an assertion does not prove this client, for log and audit; undefined where it does, if it was not used before. RFC 7523
 * §3. What costs most is checked last.
 */
export async function assertionProblem(
  ctx: Pick<Context, 'clientKeys' | 'clock' | 'config'>,
  client: Client,
  jwt: UnverifiedJwt,
  since: number,
): Promise<string | undefined> {
  const { iss, sub, aud, jti } = jwt.claims
  if (!types.has(jwtType(jwt))) return 'typ_wrong'
  if (iss !== client.clientId) return 'iss_wrong'
  if (sub !== client.clientId) return 'sub_wrong'
  if (!isForUs(ctx, client, aud)) return 'aud_wrong'
  if (typeof jti !== 'string' || jti === '' || jti.length > longestJti) return 'jti_missing'
  const now = ctx.clock.now().getTime() / 1000
  return (
    jwtTimeProblem(jwt.claims, { now, longest: longestLife, needsEnd: true }) ??
    (await signatureProblem(ctx, client, jwt, client.tokenEndpointAuthSigningAlg, since))
  )
}

/**
 * A list may name another server too, which could use the assertion here before us: so it is a text, or a list of ours alone
 * (attack 69, CVE-2025-27370).
 */
function isForUs({ config }: Pick<Context, 'config'>, client: Client, aud: unknown): boolean {
  const { issuer } = config.server
  if (aud === issuer) return true
  const { clients, registration } = config
  // Of a client that registered itself the policy of today decides, unless an administrator has decided for it.
  const policy = client.selfRegistered ? registration.clientAssertionAudience : undefined
  if ((client.clientAssertionAudience ?? policy ?? clients.assertionAudience) !== 'endpoint') return false
  const named = Array.isArray(aud) ? aud : [aud]
  return named.length > 0 && named.every((each) => each === issuer || each === `${issuer}/token`)
}

/**
 * Takes an assertion that was right in every part: it is good once, in whatever process.
 *
 * @returns false when it was used before
 */
export function spendAssertion(
  ctx: Pick<Context, 'db'>,
  { claims: { sub, jti, exp } }: UnverifiedJwt,
): Promise<boolean> {
  // Another one of this jti that lives now may end so much later, on the next day: the two have a bucket in common.
  const ends = [Number(exp), Number(exp) + longestLife + 2 * jwtSkew].map((end) => dayBucket(new Date(end * 1000)))
  return clientAssertions.spend(ctx.db, { buckets: [...new Set(ends)], hash: sha256(JSON.stringify([sub, jti])) })
}
