import type { Client } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { acrValues, scopeOfClaim, userClaimNames } from '../../identity/index.js'
import {
  type ClaimRequest,
  type ClaimsRequest,
  type ImplicitResponseType,
  InvalidRequestError,
  parseClaimsRequest,
  satisfies,
  UnmetAuthenticationRequirementsError,
} from '../../oauth/index.js'
import { idTokenType } from '../../tokens/index.js'

/** What a request says of whom it wants to know, and what. */
export interface IdentityRequest {
  readonly claims?: ClaimsRequest | undefined
  /** Scopes that the user is asked about for the sake of single claims. */
  readonly implied: readonly string[]
  /** The `sub` that it must be, as the client knows it. */
  readonly subject?: string | readonly string[] | undefined
}

/** Claims that can be asked for by name: of the user, and of the login. */
export const requestableClaims: readonly string[] = ['sub', 'acr', 'auth_time', 'amr', ...userClaimNames]

interface Asked {
  /** What is asked for besides. */
  readonly scope: readonly string[]
  readonly claims?: string
  readonly acr_values?: string
  readonly id_token_hint?: string
  /** Undefined: code. */
  readonly responseType?: ImplicitResponseType | undefined
}

/**
 * OIDC Core §3.1.2.1, §5.5.
 *
 * @throws {InvalidRequestError} {UnmetAuthenticationRequirementsError}
 */
export async function readIdentityRequest(
  ctx: Context,
  client: Client,
  { scope, claims: text, acr_values, id_token_hint: hint, responseType }: Asked,
): Promise<IdentityRequest> {
  const claims = text === undefined ? undefined : parseClaimsRequest(text, requestableClaims)
  if (responseType === 'id_token' && claims?.userinfo) {
    throw invalid('Claims are asked for at UserInfo, and no access token that opens it.', 'claims_without_token')
  }
  requireAcr(ctx, client, wantedAcr(client, claims, acr_values))
  const hinted = hint === undefined ? undefined : await subjectOfHint(ctx, client, hint)
  const wanted = [claims?.id_token?.['sub'], claims?.userinfo?.['sub'], hinted && { value: hinted }]
  return { claims, implied: impliedScope(client, claims, scope), subject: commonSubject(wanted) }
}

/** Whom all that names somebody names; undefined where nothing does. OIDC Core §3.1.2.1, §5.5.1 */
function commonSubject(
  wanted: readonly (ClaimRequest | '' | null | undefined)[],
): string | readonly string[] | undefined {
  const named = wanted.flatMap((claim) => {
    if (!claim || (claim.value === undefined && claim.values === undefined)) return []
    return [claim.value === undefined ? (claim.values ?? []) : [claim.value]]
  })
  const [first, ...others] = named
  if (!first) return undefined
  const common = first.filter((subject) => others.every((other) => other.includes(subject)))
  const subjects = common.filter((subject) => typeof subject === 'string')
  if (subjects.length === 0)
    throw invalid('The claims and the id_token_hint name no user in common.', 'subjects_differ')
  return subjects.length === 1 ? subjects[0] : subjects
}

/**
 * The class of authentication that a client wants: what it asks for by name comes before `acr_values`, and both before the
 * `default_acr_values` that it has registered. These two are wishes (OIDC Core §3.1.2.1, OIDC Registration §2): whoever needs one
 * asks for it as essential.
 */
function wantedAcr(
  { defaultAcrValues }: Client,
  claims: ClaimsRequest | undefined,
  acr_values: string | undefined,
): ClaimRequest | null {
  const named = claims?.id_token?.['acr']
  if (named !== undefined) return named
  if (acr_values !== undefined) return { values: acr_values.split(' ') }
  return defaultAcrValues.length > 0 ? { values: defaultAcrValues } : null
}

/**
 * OIDC Core §5.5.1.1: what is essential and cannot be had is a login that failed. Of a wish that cannot be had the client is told
 * which class it was (`acr` of the ID token); whoever runs the server finds in the log why.
 */
function requireAcr(ctx: Context, { clientId }: Client, wanted: ClaimRequest | null): void {
  if (acrValues.some((acr) => satisfies(wanted, acr))) return
  if (!wanted?.essential) {
    ctx.log.info({ clientId }, 'none of the classes of authentication that a client wishes is known here')
    return
  }
  throw new UnmetAuthenticationRequirementsError('None of the classes of authentication is known here.', {
    reason: 'acr_unknown',
  })
}

/** One of ours for this client, however old. OIDC Core §3.1.2.1 */
async function subjectOfHint(ctx: Context, { clientId }: Client, hint: string): Promise<string> {
  const token = await ctx.keys.verifyHint(hint, idTokenType)
  const { iss, aud, sub } = typeof token === 'object' ? token.claims : {}
  if (iss === ctx.config.server.issuer && aud === clientId && typeof sub === 'string') return sub
  throw invalid('The id_token_hint is no ID token of this server for this client.', 'id_token_hint_invalid')
}

function invalid(message: string, reason: string): InvalidRequestError {
  return new InvalidRequestError(message, { reason })
}

/** A claim is told by consent to the scope that has it; who is not registered for that one is told none of it. */
function impliedScope(client: Client, claims: ClaimsRequest | undefined, scope: readonly string[]): readonly string[] {
  const names = [claims?.id_token, claims?.userinfo].flatMap((part) => Object.keys(part ?? {}))
  const needed = new Set(names.map(scopeOfClaim).filter((name) => name !== undefined))
  return [...needed].filter((name) => client.scope.includes(name) && !scope.includes(name))
}

/** What is granted of what the user allowed. */
export function withoutImplied(allowed: readonly string[], implied = ''): readonly string[] {
  const names = implied.split(' ')
  return allowed.filter((name) => !names.includes(name))
}

/** Of the claims that were asked for, those whose scope the user allowed. */
export function allowedClaims(text: string | undefined, allowed: readonly string[]): ClaimsRequest | undefined {
  if (text === undefined) return undefined
  const { userinfo, id_token } = JSON.parse(text) as ClaimsRequest
  const part = (claims: ClaimsRequest['userinfo']) => {
    const entries = Object.entries(claims ?? {}).filter(([name]) => {
      const scope = scopeOfClaim(name)
      return scope === undefined || allowed.includes(scope)
    })
    return entries.length > 0 ? Object.fromEntries(entries) : undefined
  }
  return { userinfo: part(userinfo), id_token: part(id_token) }
}
