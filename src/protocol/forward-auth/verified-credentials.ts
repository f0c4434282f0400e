import { countKeyRequest, deprecationFields } from '../../api-keys/index.js'
import { authenticateClient, type Client } from '../../clients/index.js'
import type { Context, Origin } from '../../context.js'
import type { Gateway } from '../../gateways/index.js'
import { countRequest } from '../../limits/index.js'
import { InsufficientScopeError, isSubset, TemporarilyUnavailableError } from '../../oauth/index.js'
import { hmacSha256 } from '../../platform/crypto/hash.js'
import type { EndableBy } from '../../store/index.js'
import type { Caller } from './caller.js'
import { counted, refusalsCounted, type Shown } from './count.js'
import {
  type CredentialWorth,
  requirePlace,
  requireResource,
  worthOfKey,
  worthOfService,
  worthOfToken,
} from './credential-worth.js'
import { signGatewayToken } from './gateway-token.js'

export interface PassedOn {
  /** What the API sees. */
  readonly token: string
  /** Header fields of a key that has a successor. */
  readonly deprecation: Readonly<Record<string, string>> | undefined
  /** Header fields of the tier that it is counted by. */
  readonly limit: Readonly<Record<string, string>> | undefined
}

/**
 * Says what the credential of a caller is worth, and remembers it with the token that is passed on while that has more than
 * half of its life before it. What was revoked meanwhile is known from memory, as that of access tokens at our own endpoints
 * is: within the half second of the poll. What was found wrong is not remembered.
 */
export interface VerifiedCredentials {
  /**
   * @throws {MissingTokenError} {InvalidTokenError} {InvalidClientError} {InsufficientScopeError}
   * @throws {TooManyRequestsError} {TemporarilyUnavailableError}
   */
  readonly verify: (gateway: Gateway, caller: Caller) => Promise<PassedOn>
}

interface Known extends Omit<PassedOn, 'limit'> {
  /** As they were when it was asked for. */
  readonly gateway: Gateway
  readonly resourceChangedAt: number
  readonly worth: CredentialWorth
  /** What the revocation list could say of the credential, and of the key that signed the token. */
  readonly targets: readonly EndableBy[]
  /** Of the revocation list, before anything was asked. */
  readonly askedAt: bigint
  /** Up to which the list says nothing of it. */
  comparedAt: bigint
  /** Milliseconds since 1970 between which it is given again. */
  readonly from: number
  readonly until: number
}

/** Credentials that are remembered; the oldest go first. */
const capacity = 10_000

/** Times that one is asked about again because it was listed meanwhile. */
const attempts = 3

export function createVerifiedCredentials(ctx: Context): VerifiedCredentials {
  const remembered = new Map<string, Known>()
  // What comes back is not behind what was known: nothing can be compared any more.
  ctx.revocations.follow({ onNews: () => undefined, onReset: () => remembered.clear() })

  /** Whoever reads the memory of this map learns no credential from its keys. */
  function idOf(gateway: Gateway, { kind, credential }: Caller, version: number): string {
    const text = `${gateway.name}\0${kind}\0${version}\0${credential}`
    return hmacSha256(ctx.secrets.current.derive('verified credential'), text).toString('latin1')
  }

  function isGood(known: Known, gateway: Gateway): boolean {
    const now = ctx.clock.now().getTime()
    if (known.gateway !== gateway || now < known.from || now >= known.until) return false
    if (requireResource(ctx, gateway).updatedAt.getTime() !== known.resourceChangedAt) return false
    const position = ctx.revocations.position()
    if (position === known.comparedAt) return true
    if (ctx.revocations.listedBehind(known.targets, known.askedAt)) return false
    known.comparedAt = position
    return true
  }

  async function ask(gateway: Gateway, caller: Caller, worthOf: () => Promise<CredentialWorth>): Promise<Known> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const askedAt = ctx.revocations.position()
      const resourceChangedAt = requireResource(ctx, gateway).updatedAt.getTime()
      const worth = await worthOf()
      await refusalsCounted(ctx, { gateway, caller, worth }, async () => {
        if (worth.key) requirePlace(worth.key, caller)
        await requireScope(gateway, worth, caller)
      })
      const token = await signGatewayToken(ctx, gateway, worth)
      if (!token || ctx.revocations.listedBehind(worth.targets, askedAt)) continue
      const { value, iat, exp, kid } = token
      const targets: readonly EndableBy[] = [...worth.targets, { kind: 'key', target: kid }]
      const life = { from: iat * 1000, until: (iat + exp) * 500 }
      return {
        token: value,
        deprecation: worth.key && deprecationFields(worth.key),
        gateway,
        resourceChangedAt,
        worth,
        targets,
        askedAt,
        comparedAt: askedAt,
        ...life,
      }
    }
    throw new TemporarilyUnavailableError('The server cannot answer now.', {
      reason: 'credential_changes',
      retryAfter: 1,
    })
  }

  /** @throws {TooManyRequestsError} past the tier of an API key or its client */
  async function countKey({ worth: { key } }: Known, from: Origin): Promise<PassedOn['limit']> {
    return key && countKeyRequest(ctx, key, from)
  }

  /** @throws {TooManyRequestsError} past the tier of a service account */
  async function countAccount(client: Client, shown: Omit<Shown, 'worth'>): Promise<PassedOn['limit']> {
    const { clientId, rateTier } = client
    if (rateTier === undefined) return undefined
    return refusalsCounted(ctx, { ...shown, worth: { credential: 'basic', clientId } }, () =>
      countRequest(ctx, client, rateTier, shown.caller.from),
    )
  }

  /**
   * What is not good enough is not remembered, so it is counted here: each such request costs a question to the database.
   *
   * @throws {InsufficientScopeError} RFC 6750 §3.1
   * @throws {TooManyRequestsError}
   */
  async function requireScope({ scope }: Gateway, worth: CredentialWorth, { from }: Caller): Promise<void> {
    if (isSubset(scope, worth.scope)) return
    if (worth.key) await countKeyRequest(ctx, worth.key, from)
    throw new InsufficientScopeError('The credential does not have the scope.', {
      reason: 'scope_missing',
      scope: scope.join(' '),
    })
  }

  return {
    async verify(gateway, caller) {
      ctx.assertFresh()
      const { kind, credential, from, addressUnknown } = caller
      const place = { address: from.ip, unknown: addressUnknown }
      const via = gateway.name
      // A password is compared at every use, so that its failures count and its end is its end.
      const how = { place, via, strongSecrets: true }
      const client = kind === 'basic' ? await authenticateClient(ctx, credential, {}, from, how) : undefined
      const limit = client && (await countAccount(client, { gateway, caller }))
      const id = idOf(gateway, caller, client?.updatedAt.getTime() ?? 0)
      const known = remembered.get(id)
      if (known && isGood(known, gateway)) {
        return counted(ctx, { gateway, caller, worth: known.worth }, async () => {
          if (known.worth.key) requirePlace(known.worth.key, caller)
          return { ...known, limit: limit ?? (await countKey(known, from)) }
        })
      }
      remembered.delete(id)
      const found = await ask(gateway, caller, () => {
        if (client) return worthOfService(ctx, gateway, client)
        return kind === 'api-key' ? worthOfKey(ctx, gateway, caller) : worthOfToken(ctx, gateway, credential)
      })
      remembered.set(id, found)
      if (remembered.size > capacity) remembered.delete(remembered.keys().next().value!)
      return counted(ctx, { gateway, caller, worth: found.worth }, async () => {
        return { ...found, limit: limit ?? (await countKey(found, from)) }
      })
    },
  }
}
