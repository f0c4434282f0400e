import type { AccessToken } from '../access-token.js'
import { countedKey, deprecationOf, type KnownKey } from '../api-keys/answer.js'
import { createKnownKeys, problemOfPlace } from '../api-keys/known-keys.js'
import { bodyOf } from '../body.js'
import { ConfigurationError } from '../errors.js'
import { isObject, type JsonObject } from '../json.js'
import { type Platform, systemPlatform } from '../platform.js'
import type { Reason, RefusedWith, UnavailableFor } from '../problems.js'
import { headerValues, type RequestLike } from '../request.js'
import { problemOfDigest } from '../signature/content-digest.js'
import { createReplayMemory } from '../signature/replay-memory.js'
import { isSigned, type RequestSignature, readSignature } from '../signature/request-signature.js'
import { type SignedMessage, signatureBase } from '../signature/signature-base.js'
import { importVerificationKey, type VerificationKey, verifyBytes } from '../verification-key.js'
import type { Scheme } from './scheme.js'
import { perApi, type Tools } from './tools.js'

/** A public key, and what a request that it signed may do. */
export interface SigningKey {
  /** A JWK of Ed25519. RFC 8037 §2. */
  readonly jwk: JsonObject
  readonly token: AccessToken
}

export interface SignatureOptions {
  /** Scheme and authority under which clients reach this API, such as `https://orders.example`: what they sign. */
  readonly origin: string
  /**
   * In place of the server, which is asked by introspection and needs credentials. It is asked for each request, so it has to
   * remember by itself, and to forget a key that has ended. As long as it gives the same object, the key is imported once.
   * Rejects where it cannot tell.
   */
  readonly findKey?: (keyId: string) => Promise<SigningKey | undefined>
  /**
   * Whether the nonce was given before, by any process of this API, for a store that they share. It remembers it until then,
   * in one step. `expiresAt` is in seconds since 1970. Without it a replay is known to this process alone, which therefore
   * refuses what was signed before it began.
   */
  readonly replay?: (keyId: string, nonce: string, expiresAt: number) => Promise<boolean>
  /** Seconds that a signature counts; default 60, from 5 to 300. */
  readonly maxAge?: number
  /** Seconds that the clocks of client and API may differ; default 5, at most 10. */
  readonly clockSkew?: number
  /** Nonces that are remembered at once; default 100,000. Past it, and past a quarter of it for one key, signed requests are answered 503. */
  readonly capacity?: number
  /** Bytes of a body; default 1 MiB. A longer one is answered 413. */
  readonly bodyLimit?: number
  /** Time, for tests. */
  readonly platform?: Pick<Platform, 'now'>
}

type Settings = Required<Omit<SignatureOptions, 'replay' | 'findKey'>> & Pick<SignatureOptions, 'replay' | 'findKey'>

/**
 * Requests that are signed with an Ed25519 key. RFC 9421, RFC 9530. The key stays with the client, so nothing that a request
 * shows is worth anything to whoever reads it.
 *
 * @throws {ConfigurationError}
 */
export function signature(options: SignatureOptions): Scheme {
  const settings = readOptions(options)
  const check = createCheck(settings)
  return {
    name: 'signature',
    // Nobody has registered one; but each 401 needs a challenge (RFC 9110 §15.5.2).
    challenge: 'Signature',
    noun: 'signature',
    needsCredentials: settings.findKey === undefined,
    headers: deprecationOf,
    // Keys that others keep are none of the server's.
    ...(settings.findKey ? {} : { counts: countedKey }),
    read(request) {
      if (!isSigned(request)) return undefined
      const signed = readSignature(request)
      return typeof signed === 'string'
        ? { problem: signed }
        : { authenticate: (tools) => check(signed, request, tools) }
    },
  }
}

function readOptions(options: SignatureOptions): Settings {
  const { origin, findKey, replay, platform = systemPlatform } = options
  // Never taken from the request: a signature for another API would be good here by that API's name in `Host`.
  const url = typeof origin === 'string' && URL.canParse(origin) ? new URL(origin) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.origin !== origin) {
    throw new ConfigurationError(
      'origin must be scheme and authority of an https URL, in lower case and without a path',
    )
  }
  return {
    origin,
    findKey,
    replay,
    platform,
    maxAge: whole('maxAge', options.maxAge ?? 60, 5, 300),
    clockSkew: whole('clockSkew', options.clockSkew ?? 5, 0, 10),
    capacity: whole('capacity', options.capacity ?? 100_000, 1, 10_000_000),
    bodyLimit: whole('bodyLimit', options.bodyLimit ?? 1_048_576, 0, 1_073_741_824),
  }
}

function whole(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new ConfigurationError(`${name} must be a whole number from ${least} to ${most}`)
}

/** From what is cheap to what costs; the nonce is spent last, by a request with which all else is well. */
function createCheck(settings: Settings) {
  const { maxAge, clockSkew, platform, replay } = settings
  const findKey = createKeys(settings)
  const memory = createReplayMemory(settings.capacity)
  let begunAt = platform.now() / 1000

  function problemOfTime({ created, expires }: RequestSignature): Reason | undefined {
    const now = platform.now() / 1000
    if (created > now + clockSkew) return 'signature_not_yet_valid'
    const end = Math.min(created + maxAge, expires ?? Number.POSITIVE_INFINITY)
    return now > end + clockSkew ? 'signature_expired' : undefined
  }

  /**
   * What a process before this one may have taken is in no memory any more: all that was signed until this one began, also by
   * a clock that was ahead. `created` is in whole seconds. A store that is shared knows it, whichever process is asked.
   */
  function problemOfStart({ created }: RequestSignature): UnavailableFor | undefined {
    if (replay) return undefined
    const now = platform.now() / 1000
    // A clock that was set back was wrong when this began: by the right one it was now at the latest.
    begunAt = Math.min(begunAt, now)
    const first = Math.floor(begunAt) + clockSkew + 1
    if (created >= first) return undefined
    return { reason: 'replay_memory_starting', retryAfter: Math.max(1, Math.ceil(first - now)) }
  }

  async function problemOfReplay(signed: RequestSignature): Promise<Reason | UnavailableFor | undefined> {
    const early = problemOfStart(signed)
    if (early) return early
    const { keyId, nonce, created } = signed
    const until = created + maxAge + clockSkew
    switch (memory.remember(keyId, nonce, until, platform.now() / 1000)) {
      case 'used':
        return 'signature_replayed'
      case 'forgotten':
        return 'signature_expired'
      case 'full':
        return 'replay_memory_full'
    }
    if (!replay) return undefined
    try {
      // Only a clear no lets it through.
      return (await replay(keyId, nonce, until)) === false ? undefined : 'signature_replayed'
    } catch {
      return 'replay_store_unavailable'
    }
  }

  async function problemOfKey(
    signed: RequestSignature,
    request: RequestLike,
    { key, known }: FoundKey,
    tools: Tools,
  ): Promise<Reason | RefusedWith | undefined> {
    const problem = await problemOfSignature(signed, messageOf(request, settings.origin), key)
    return problem ?? (known && problemOfPlace(known, request, tools))
  }

  return async (
    signed: RequestSignature,
    request: RequestLike,
    tools: Tools,
  ): Promise<AccessToken | Reason | UnavailableFor | RefusedWith> => {
    const early = problemOfTime(signed)
    if (early) return early
    const since = platform.now()
    let found = await findKey(signed.keyId, request, tools)
    if (typeof found === 'string') return found
    const problem =
      (await problemOfKey(signed, request, found, tools)) ??
      (await problemOfBody(signed, messageOf(request, settings.origin), request, settings.bodyLimit))
    if (problem) return problem
    // A body may be long in coming: meanwhile the key may have been ended or narrowed, and the signature become too old.
    if (Math.abs(platform.now() - since) >= patience) {
      found = await findKey(signed.keyId, request, tools)
      if (typeof found === 'string') return found
      const late = problemOfTime(signed) ?? (await problemOfKey(signed, request, found, tools))
      if (late) return late
    }
    return (await problemOfReplay(signed)) ?? found.token
  }
}

/** Milliseconds that what was found of a key stands, while its request is still coming. */
const patience = 250

interface FoundKey {
  readonly key: VerificationKey
  readonly token: AccessToken
  /** Where the server said it. */
  readonly known?: KnownKey
}

function createKeys(settings: Settings) {
  const { platform, clockSkew, findKey } = settings
  const keysOf = perApi((tools) => createKnownKeys(tools, { hint: apiKeyIdType, kinds: ['signing'] }))
  const imported = new WeakMap<object, Promise<VerificationKey | string>>()

  async function ask(
    keyId: string,
    address: string | undefined,
    tools: Tools,
  ): Promise<(SigningKey & Pick<FoundKey, 'known'>) | Reason> {
    const known = await keysOf(tools).find(keyId, keyId, address)
    if (typeof known === 'string') return known
    const { api_key: described } = known.token.claims
    const jwk = isObject(described) ? described['jwk'] : undefined
    return isObject(jwk) ? { jwk, token: known.token, known } : 'key_unknown'
  }

  async function find(
    keyId: string,
    request: RequestLike,
    tools: Tools,
  ): Promise<(SigningKey & Pick<FoundKey, 'known'>) | Reason> {
    if (!findKey) return ask(keyId, tools.addressOf(request), tools)
    try {
      return (await findKey(keyId)) ?? 'key_unknown'
    } catch {
      return 'introspection_unavailable'
    }
  }

  return async (keyId: string, request: RequestLike, tools: Tools): Promise<FoundKey | Reason> => {
    const found = await find(keyId, request, tools)
    if (typeof found === 'string') return found
    const { token, known } = found
    // As long as what was said of it stays the same.
    const origin = known ?? found
    let importing = imported.get(origin)
    if (!importing) {
      importing = importVerificationKey(found.jwk)
      imported.set(origin, importing)
    }
    const key = await importing
    if (typeof key === 'string' || !['EdDSA', 'Ed25519'].includes(key.alg)) return 'key_unknown'
    if (platform.now() / 1000 >= token.expiresAt + clockSkew) return 'expired'
    return known ? { key, token, known } : { key, token }
  }
}

/** The `token_type_hint` of the id of a signing key. */
const apiKeyIdType = 'urn:ostiary:params:oauth:token-type:api-key-id'

function messageOf(request: RequestLike, origin: string): SignedMessage {
  const { method = '', url = '' } = request
  return { method, url, origin, field: (name) => headerValues(request, name) }
}

async function problemOfSignature(
  { components, parameters, signature }: RequestSignature,
  message: SignedMessage,
  key: VerificationKey,
): Promise<Reason | undefined> {
  // Frameworks show one of two values, and a base has both: which one counts would be a guess.
  if (components.some((name) => !name.startsWith('@') && message.field(name).length > 1)) return 'component_absent'
  const base = signatureBase(components, message, parameters)
  if (base === undefined) return 'component_absent'
  return (await verifyBytes(key, new TextEncoder().encode(base), signature)) ? undefined : 'signature_wrong'
}

/** What says how a body is to be read: without them it could be taken for another one. RFC 9530 §6.3. */
const fieldsOfBody = ['content-type', 'content-encoding']

async function problemOfBody(
  { components }: RequestSignature,
  message: SignedMessage,
  request: RequestLike,
  limit: number,
): Promise<Reason | undefined> {
  const body = await bodyOf(request, limit)
  if (typeof body === 'string') return body
  const isCovered = (name: string): boolean => components.includes(name)
  if (body.length > 0) {
    const needed = ['content-digest', ...fieldsOfBody.filter((name) => message.field(name).length > 0)]
    if (!needed.every(isCovered)) return 'coverage_insufficient'
  }
  const [digest] = message.field('content-digest')
  return digest !== undefined && isCovered('content-digest') ? problemOfDigest(digest, body) : undefined
}
