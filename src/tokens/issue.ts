import type { Client } from '../clients/index.js'
import type { Context } from '../context.js'
import { InvalidScopeError, InvalidTargetError, isSubset, parseResources, parseScope } from '../oauth/index.js'
import type { Grant, HeldRole, NewTokens } from '../store/index.js'
import { makeAccessToken } from './access-token.js'
import { makeIdToken } from './id-token.js'
import { drawOpaque, type Opaque } from './opaque.js'
import { rolesOfUser } from './roles.js'
import { knownScope, ownersFor, scopeForToken } from './scope.js'

/** The answer of POST /token. RFC 6749 §5.1. */
export interface TokenResponse {
  readonly access_token: string
  /** Of an exchange. RFC 8693 §2.2.1. */
  readonly issued_token_type?: string
  readonly token_type: 'Bearer'
  readonly expires_in: number
  readonly refresh_token?: string
  /** OIDC Core §3.1.3.3. */
  readonly id_token?: string
  /** What is granted is always told. */
  readonly scope: string
}

export interface MadeTokens {
  readonly response: TokenResponse
  /** Of the access token. */
  readonly audience: string
  /** To be written by the statement that spends what they were made for. */
  readonly rows: NewTokens
}

/** What a grant's token request may narrow. */
export interface Narrowing {
  readonly scope?: string | undefined
  readonly resource?: readonly string[] | undefined
}

/** What was presented at /token and stands for a grant. */
export interface Presented {
  readonly grant: Grant
  readonly user: { readonly email: string; readonly name?: string | undefined }
  /** Of a code. */
  readonly nonce?: string | undefined
  /** Of the user. */
  readonly roles: readonly HeldRole[]
  /** Before it was read. */
  readonly asOf: Date
}

/**
 * Makes the tokens of a grant; nothing is written. The answer is given away only after the statement that spends the
 * code or refresh token has written their rows.
 *
 * @param refreshToken 'new': a refresh token comes with it, where the client may have one; 'none': it keeps its own
 * @throws {InvalidScopeError} {InvalidTargetError} when more is asked for than was granted. RFC 6749 §6, RFC 8707 §2.2
 */
export async function makeTokens(
  ctx: Context,
  client: Client,
  { grant, user, roles, asOf, nonce }: Presented,
  narrowing: Narrowing,
  refreshToken: 'new' | 'none',
): Promise<MadeTokens> {
  const narrowed = narrow(ctx, client, grant, narrowing)
  const target = scopeForToken(ctx, client, narrowed)
  const readRoles = rolesOfUser(ctx, grant.userId, { roles, asOf })
  const access = await makeAccessToken(ctx, { client, sub: grant.userId, target, grant, user, readRoles })
  const refresh =
    refreshToken === 'new' && client.grantTypes.includes('refresh_token')
      ? drawRefreshToken(ctx, client, grant)
      : undefined
  const idToken = narrowed.scope.includes('openid')
    ? await makeIdToken(ctx, { client, grant, nonce, accessToken: access.value })
    : undefined
  return {
    response: {
      access_token: access.value,
      token_type: 'Bearer',
      expires_in: access.expiresIn,
      ...(refresh ? { refresh_token: refresh.token.value } : {}),
      ...(idToken === undefined ? {} : { id_token: idToken }),
      scope: access.scope.join(' '),
    },
    audience: access.claims.aud,
    rows: {
      refreshToken: refresh && { bucket: grant.bucket, hash: refresh.token.hash, expiresAt: refresh.expiresAt },
      accessToken: access.row,
      statusIndex: access.statusIndex,
    },
  }
}

/** When a refresh token that is used or issued now ends unless it is used before: idle time, but never past its grant. */
export function idleEnd(ctx: Context, client: Client, grant: Grant): Date {
  const idle = client.refreshTokenIdleLifetime ?? ctx.config.tokens.refreshTokenIdleLifetime
  return new Date(Math.min(ctx.clock.now().getTime() + idle * 1000, grant.expiresAt.getTime()))
}

function drawRefreshToken(ctx: Context, client: Client, grant: Grant): { token: Opaque; expiresAt: Date } {
  return { token: drawOpaque(ctx, 'ort', grant.bucket), expiresAt: idleEnd(ctx, client, grant) }
}

function narrow(ctx: Context, client: Client, grant: Grant, { scope, resource = [] }: Narrowing) {
  const named = parseResources(resource)
  if (!isSubset(named, grant.resources)) {
    throw new InvalidTargetError('The resource is not one that was granted.', { reason: 'resource_not_granted' })
  }
  const asked = scope === undefined ? grant.scope : parseScope(scope)
  if (!isSubset(asked, grant.scope)) {
    throw new InvalidScopeError('The scope is more than was granted.', { reason: 'scope_not_granted' })
  }
  // What was granted and has ceased to exist, or left the client's registration, is left out.
  const registered = asked.filter((name) => client.scope.includes(name))
  const ownersOf = ownersFor(ctx, client)
  const kept = knownScope(ownersOf, registered, named.length > 0 ? named : grant.resources)
  if (kept.length === 0 && asked.length > 0) {
    throw new InvalidScopeError('None of the scopes is one of the resource.', { reason: 'scope_of_another_resource' })
  }
  if (named.length > 0) return { scope: kept, resources: named }
  // Of the others no scope is asked for: the token is not for them.
  const owners = new Set(kept.flatMap(ownersOf))
  return { scope: kept, resources: grant.resources.filter((identifier) => owners.has(identifier)) }
}
