import { Type } from '@sinclair/typebox'
import {
  aboutOwner,
  addDeprecation,
  countKeyRequest,
  countUse,
  deprecationFields,
  longestExchanged,
  presentApiKey,
  type UsableApiKey,
} from '../../../api-keys/index.js'
import type { Context, Origin } from '../../../context.js'
import { FieldedAnswer } from '../../../http/index.js'
import { countUser, joinFields } from '../../../limits/index.js'
import {
  InvalidRequestError,
  InvalidScopeError,
  InvalidTargetError,
  isSubset,
  parseResources,
  parseScope,
  selectResource,
  TemporarilyUnavailableError,
  TooManyRequestsError,
} from '../../../oauth/index.js'
import { type ApiKey, accessTokens, roles } from '../../../store/index.js'
import {
  type KnownRoles,
  makeAccessToken,
  type ReadRoles,
  rolesOfClient,
  saysRoles,
  type TokenScope,
} from '../../../tokens/index.js'
import { defineClientlessGrantType, type GrantAnswer, type GrantType } from '../grant-type.js'
import { basicCredentialsType, exchangePassword } from './password-exchange.js'

/** The `subject_token_type` of an API key. */
const apiKeyType = 'urn:ostiary:params:oauth:token-type:api-key'
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'
const jwtType = 'urn:ietf:params:oauth:token-type:jwt'

/** Milliseconds after a change of a key in which a process may not have heard of what it ended. */
const recent = 10_000

/**
 * Token exchange of an API key for an access token of one resource. RFC 8693 §2. The key says whose it is, so no client is
 * named. What is asked for only narrows. One batched statement reads the key; nothing is written, as with client_credentials.
 */
const keyExchange = defineClientlessGrantType({
  name: 'urn:ietf:params:oauth:grant-type:token-exchange',

  parameters: Type.Object({
    subject_token: Type.String(),
    subject_token_type: Type.String(),
    requested_token_type: Type.Optional(Type.String()),
    actor_token: Type.Optional(Type.String()),
    actor_token_type: Type.Optional(Type.String()),
    resource: Type.Optional(Type.Array(Type.String())),
    audience: Type.Optional(Type.String()),
    scope: Type.Optional(Type.String()),
  }),

  async handle(ctx, { parameters, origin }) {
    // What may end the token is asked of memory.
    ctx.assertFresh()
    checkTypes(parameters)
    let asOf = ctx.clock.now()
    let key = await presentApiKey(ctx, parameters.subject_token, origin)
    try {
      const limit = await countExchange(ctx, key, origin)
      for (let attempt = 1; ; attempt++) {
        try {
          return await exchangeKey(ctx, { parameters, origin, key, asOf, limit })
        } catch (error) {
          if (attempt === attempts || !isOfChange(error)) throw error
        }
        // Whoever rotates a key goes on using it: it is exchanged as it is now.
        asOf = ctx.clock.now()
        key = await presentApiKey(ctx, parameters.subject_token, origin)
      }
    } catch (error) {
      addDeprecation(error, key)
      throw error
    }
  },
})

/** Times that a key is read which is changed while the next second is waited for. */
const attempts = 3

const keyChanged = 'key_changed'

function isOfChange(error: unknown): boolean {
  return error instanceof TemporarilyUnavailableError && error.reason === keyChanged
}

interface Exchange {
  readonly parameters: Types & Asked & { readonly subject_token: string }
  readonly origin: Origin
  readonly key: UsableApiKey
  /** Before it was read. */
  readonly asOf: Date
  readonly limit: Awaited<ReturnType<typeof countExchange>>
}

async function exchangeKey(ctx: Context, { parameters, origin, key, asOf, limit }: Exchange): Promise<GrantAnswer> {
  const target = narrow(ctx, key, parameters)
  if (parameters.requested_token_type === jwtType && target.resource?.tokenFormat === 'opaque') {
    throw new InvalidRequestError('The tokens of the resource are no JWTs.', { reason: 'resource_opaque' })
  }

  const readRoles = rolesForKey(ctx, { text: parameters.subject_token, origin, key, asOf, target })
  const client = { clientId: key.id, accessTokenLifetime: longestExchanged }
  const token = await makeAccessToken(ctx, { client, sub: key.owner.id, key, target, readRoles })
  const scope = token.scope.join(' ')
  if (token.row) await accessTokens.create(ctx.db, token.row)
  countUse(ctx, key, { api: token.claims.aud, scope: token.scope, outcome: 'exchanged', ip: origin.ip })
  ctx.audit.count({
    type: 'token.issued',
    actor: `api-key:${key.id}`,
    ...aboutOwner(key.owner),
    ip: origin.ip,
    detail: { grant_type: 'token-exchange', key: key.id, aud: token.claims.aud, scope },
  })
  const answer = {
    access_token: token.value,
    issued_token_type: parameters.requested_token_type ?? accessTokenType,
    token_type: 'Bearer' as const,
    expires_in: token.expiresIn,
    scope,
  }
  const fields = { ...limit, ...deprecationFields(key) }
  return Object.keys(fields).length > 0 ? new FieldedAnswer(answer, fields) : answer
}

/** Of an API key by anybody, and of a password by the API that it was shown to. */
export const tokenExchange: GrantType = {
  ...keyExchange,
  handle: (ctx, request) =>
    request.parameters['subject_token_type'] === basicCredentialsType
      ? exchangePassword(ctx, request)
      : keyExchange.handle(ctx, request),
}

/** For what the key counts for, and for its user. @throws {TooManyRequestsError} */
async function countKey(ctx: Context, key: UsableApiKey, origin: Origin) {
  const { owner } = key
  const ofKey = await countKeyRequest(ctx, key, origin)
  return joinFields([ofKey, owner.kind === 'user' ? await countUser(ctx, owner.id) : undefined])
}

/** The same, and where it is refused that counts as a use. */
async function countExchange(ctx: Context, key: UsableApiKey, origin: Origin) {
  try {
    return await countKey(ctx, key, origin)
  } catch (error) {
    if (error instanceof TooManyRequestsError) {
      countUse(ctx, key, { api: '', scope: [], outcome: 'rate_limited', ip: origin.ip })
    }
    throw error
  }
}

interface Types {
  readonly subject_token_type: string
  readonly requested_token_type?: string
  readonly actor_token?: string
  readonly actor_token_type?: string
}

function checkTypes({ subject_token_type, requested_token_type: requested, ...actor }: Types): void {
  if (subject_token_type !== apiKeyType) {
    throw new InvalidRequestError('The subject_token_type is not one that is exchanged here.', {
      reason: 'subject_token_type_unknown',
    })
  }
  if (requested !== undefined && requested !== accessTokenType && requested !== jwtType) {
    throw new InvalidRequestError('The requested_token_type is not one that is issued here.', {
      reason: 'requested_token_type_unknown',
    })
  }
  // A key acts for its owner, and nobody for it.
  if (actor.actor_token !== undefined || actor.actor_token_type !== undefined) {
    throw new InvalidRequestError('An API key is exchanged without an actor.', { reason: 'actor_not_supported' })
  }
}

interface Asked {
  readonly resource?: readonly string[]
  readonly audience?: string
  readonly scope?: string
}

/**
 * The one resource, and the scopes of the key there, before roles have their say.
 *
 * @throws {InvalidTargetError} {InvalidScopeError} when more is asked for than the key may. RFC 8693 §2.2.2, RFC 8707 §2
 */
function narrow(ctx: Context, key: ApiKey, { resource = [], audience, scope }: Asked): TokenScope {
  // An audience is named as the resource is: a token has no other.
  const named = parseResources(audience === undefined ? resource : [...resource, audience])
  if (!isSubset(named, key.resources) || !named.every((identifier) => ctx.resources.find(identifier))) {
    throw new InvalidTargetError('The resource is not one that the key is for.', { reason: 'resource_not_of_key' })
  }
  const asked = scope === undefined ? key.scope : parseScope(scope)
  if (!isSubset(asked, key.scope)) {
    throw new InvalidScopeError('The scope is more than the key has.', { reason: 'scope_not_of_key' })
  }
  const requested = named.length === 0 && key.resources.length === 1 ? key.resources : named
  const ownersOf = (name: string): readonly string[] =>
    ctx.resources.ownersOf(name).filter((identifier) => key.resources.includes(identifier))
  // What belongs to others, or has ceased to exist, is left out.
  const kept = asked.filter((name) =>
    ownersOf(name).some((owner) => requested.length === 0 || requested.includes(owner)),
  )
  if (kept.length === 0) {
    throw new InvalidScopeError('None of the scopes is one of the resource.', { reason: 'scope_of_another_resource' })
  }
  const selected = selectResource({ scope: kept, ownersOf, requested })
  const found = selected.resource === undefined ? undefined : ctx.resources.find(selected.resource)
  if (!found) throw new InvalidTargetError('The resource is unknown.', { reason: 'resource_unknown' })
  return { resource: found, scope: selected.scope }
}

interface PresentedKey {
  readonly text: string
  readonly origin: Origin
  readonly key: UsableApiKey
  /** Before it was read. */
  readonly asOf: Date
  readonly target: TokenScope
}

/**
 * The roles of the owner, as of no later than the key was read: what ends or narrows the key afterwards ends the token. If that
 * has to be waited for, the key is read again.
 */
function rolesForKey(ctx: Context, presented: PresentedKey): ReadRoles {
  const { text, origin, key, target } = presented
  return async (from) => {
    const asOf = from ? ctx.clock.now() : presented.asOf
    if (from && (await presentApiKey(ctx, text, origin)).updatedAt.getTime() !== key.updatedAt.getTime()) {
      throw new TemporarilyUnavailableError('The key is being changed.', { reason: keyChanged, retryAfter: 1 })
    }
    // Else a token of the same second would be ended by what came before it.
    if (ctx.clock.now().getTime() - key.updatedAt.getTime() < recent) await ctx.revocations.refresh()
    if (!saysRoles(target.resource)) return { roles: [], asOf }
    const known = await rolesOfOwner(ctx, key, from)
    return { roles: known.roles, asOf: known.asOf < asOf ? known.asOf : asOf }
  }
}

async function rolesOfOwner(ctx: Context, { owner }: ApiKey, from: Date | undefined): Promise<KnownRoles> {
  if (owner.kind === 'client') return rolesOfClient(ctx, owner.id)(from)
  const asOf = ctx.clock.now()
  return { roles: await roles.heldBy(ctx.db, { kind: 'user', holder: owner.id }), asOf }
}
