import { createHash } from 'node:crypto'
import type { Client } from '../clients/index.js'
import type { Context } from '../context.js'
import { byPassword, claimsAbout, claimsOfScope, userClaimNames } from '../identity/index.js'
import { ServerError } from '../oauth/errors.js'
import { sha256 } from '../platform/crypto/hash.js'
import { type Grant, users } from '../store/index.js'
import { isSigningAlg, type SigningAlg } from './keys/index.js'
import { sidFor, subjectFor } from './subject.js'

/** What tells an ID token from other JWTs of ours: an access token has `at+jwt` (attack 77). */
export const idTokenType = 'JWT'

/** Seconds. It is for the moment of the login: what a client keeps of it are its claims. */
const lifetime = 3_600

/** OIDC Registration §2. */
const defaultAlg = 'RS256'

export interface IdTokenRequest {
  readonly client: Client
  readonly grant: Grant
  /** Of the authorization request. None in what a refresh gives: OIDC Core §12.2. */
  readonly nonce?: string | undefined
  /** The one that it comes with. Undefined: none does, so all that a client hears of its user stands here. OIDC Core §5.4 */
  readonly accessToken: string | undefined
}

/** What a client hears of the login of its user. OIDC Core §2, §3.1.3.6, §3.2.2.10. */
export async function makeIdToken(ctx: Context, request: IdTokenRequest): Promise<string> {
  const { client, grant, nonce, accessToken } = request
  const alg = idTokenAlgOf(client)
  const iat = Math.floor(ctx.clock.now().getTime() / 1000)
  const claims = {
    iss: ctx.config.server.issuer,
    sub: subjectFor(ctx, client, grant.userId),
    aud: client.clientId,
    iat,
    exp: iat + lifetime,
    auth_time: Math.floor(grant.authTime.getTime() / 1000),
    nonce,
    acr: byPassword.acr,
    amr: byPassword.amr,
    at_hash: accessToken === undefined ? undefined : leftHalf(alg, accessToken),
    sid: grant.session && sidFor(ctx, client, grant.session.id),
    ...(await toldClaims(ctx, grant, accessToken === undefined ? grant.scope : [])),
  }
  return ctx.keys.sign(claims, { alg, typ: idTokenType })
}

export function idTokenAlgOf({ idTokenSignedResponseAlg = defaultAlg }: Client): SigningAlg {
  if (isSigningAlg(idTokenSignedResponseAlg)) return idTokenSignedResponseAlg
  throw new ServerError('The client has an unknown signing algorithm.', { reason: 'signing_alg_unknown' })
}

/** OIDC Core §3.1.3.6: by the hash of the signature; that of Ed25519 is SHA-512. */
function leftHalf(alg: SigningAlg, text: string): string {
  const whole = alg === 'EdDSA' ? createHash('sha512').update(text).digest() : sha256(text)
  return whole.subarray(0, whole.length / 2).toString('base64url')
}

/**
 * Claims of the user come by UserInfo, but for what was asked for by name. OIDC Core §5.4, §5.5.
 *
 * @param scope whose claims are told here
 */
async function toldClaims(
  ctx: Context,
  { claims, userId }: Grant,
  scope: readonly string[],
): Promise<Record<string, unknown>> {
  const asked = Object.keys(claims?.id_token ?? {}).filter((name) => userClaimNames.includes(name))
  const names = [...asked, ...scope.flatMap((name) => (Object.hasOwn(claimsOfScope, name) ? claimsOfScope[name]! : []))]
  if (names.length === 0) return {}
  const user = await users.tell(ctx.db, userId)
  return user ? claimsAbout(user, names) : {}
}
