import { isDocumentOff } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { claimsAbout, claimsOfScope, userClaimNames } from '../../identity/index.js'
import { InsufficientScopeError, InvalidTokenError } from '../../oauth/index.js'
import { type AccessTokenClaims, isSigningAlg, opensUserInfo, subjectFor } from '../../tokens/index.js'
import { type AddressOf, aboutClient, readLiveToken } from '../bearer.js'

/** What is told of the user, and the form that the client registered. */
export interface UserInfo {
  readonly claims: Readonly<Record<string, unknown>>
  /** Undefined: plain JSON. OIDC Core §5.3.2 */
  readonly jwt?: string
}

/**
 * What the holder of this access token may hear of its user.
 *
 * @throws {InvalidTokenError} {InsufficientScopeError} OIDC Core §5.3.3
 * @throws {TemporarilyUnavailableError} while what is revoked is not known
 */
export async function userInfo(ctx: Context, value: string, ipOf: AddressOf): Promise<UserInfo> {
  const token = await readLiveToken(ctx, value, ipOf)
  const { scope, grant_id: grantId, client_id: clientId, sub } = token.claims
  if (!opensUserInfo(scope) || grantId === undefined) {
    const error = new InsufficientScopeError('The access token does not have the scope openid.', {
      ...{ reason: 'scope_missing', scope: 'openid' },
    })
    throw aboutClient(ctx, token, ipOf, error)
  }
  // Both are in memory nearly always: to wait for them together costs more than one after the other.
  const client = await ctx.clients.find(clientId)
  const user = await ctx.users.find(sub)
  if (!client || client.disabledAt || isDocumentOff(ctx, client) || !user || user.disabledAt) {
    const error = new InvalidTokenError('The access token is unknown, expired, revoked or meant for somebody else.', {
      reason: user && !user.disabledAt ? 'client_ended' : 'user_ended',
    })
    throw aboutClient(ctx, token, ipOf, error)
  }
  const claims = { sub: subjectFor(ctx, client, user.id), ...claimsAbout(user, namesOf(token.claims)) }
  const alg = client.userinfoSignedResponseAlg
  if (alg === undefined || !isSigningAlg(alg)) return { claims }
  const signed = { iss: ctx.config.server.issuer, aud: client.clientId, ...claims }
  return { claims, jwt: await ctx.keys.sign(signed, { alg, typ: userInfoType }) }
}

/** Never that of an ID token: a client would take it for one (attack 77). */
const userInfoType = 'userinfo+jwt'

function namesOf({ scope = '', userinfo_claims: asked }: AccessTokenClaims): Iterable<string> {
  const ofScope = namesOfScope(scope)
  return asked ? new Set([...ofScope, ...asked.filter((name) => userClaimNames.includes(name))]) : ofScope
}

/** There are few: what an installation registers, in the order in which clients write it. */
const known = new Map<string, readonly string[]>()
const mostKnown = 1_000

function namesOfScope(scope: string): readonly string[] {
  const before = known.get(scope)
  if (before) return before
  const names = scope.split(' ').flatMap((name) => (Object.hasOwn(claimsOfScope, name) ? claimsOfScope[name]! : []))
  if (known.size >= mostKnown) known.clear()
  known.set(scope, names)
  return names
}
