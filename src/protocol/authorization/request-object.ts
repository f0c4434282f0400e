import { type Client, ClientKeysAwayError, openIdSigningAlgs, signatureProblem } from '../../clients/index.js'
import type { Context } from '../../context.js'
import {
  InvalidRequestError,
  InvalidRequestObjectError,
  type JsonObject,
  jwtTimeProblem,
  jwtType,
  type Parameters,
  readJwt,
  readParameters,
  type UnverifiedJwt,
} from '../../oauth/index.js'
import { fetchRequestObject } from './request-uri.js'

/** `none` for clients that have registered it, and for no other (attack 31). */
export const requestObjectAlgs = [...openIdSigningAlgs, 'none'] as const

/** Seconds that a request object may live, where it says until when (attack 38). */
const longestLife = 3_600

/** What a JWT says of itself: no parameters. RFC 9101 §4. */
const ofJwt: ReadonlySet<string> = new Set(['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti'])

/** The type by which a client says that RFC 9101 holds. */
const strictType = 'oauth-authz-req+jwt'

const types: ReadonlySet<string | undefined> = new Set([undefined, 'jwt', strictType])

/**
 * The parameters of a request with the parameter `request` or `request_uri`. Those inside are the client's word; what stands
 * outside may be anybody's. Two specifications differ in what becomes of the latter, and the client says by the type which one it
 * means, under its signature: by RFC 9101 §6.3 (`oauth-authz-req+jwt`) they are not looked at, by OIDC Core §6.1 they count where
 * inside is none of the name (attack 32).
 *
 * @param outside in which `client_id` is that of the client
 * @throws {InvalidRequestObjectError} {InvalidRequestUriError} {InvalidRequestError}
 */
export async function readRequestObject(ctx: Context, client: Client, outside: Parameters): Promise<Parameters> {
  // Attack 37.
  const { request, request_uri } = outside
  if (request !== undefined && request_uri !== undefined) {
    throw new InvalidRequestError('There are a request and a request_uri: it is one or the other.', {
      reason: 'request_and_request_uri',
    })
  }
  const jwt = readJwt(request_uri === undefined ? String(request) : await fetchRequestObject(ctx, client, request_uri))
  if (typeof jwt === 'string') throw invalid(jwt)
  const problem = await problemOf(ctx, client, jwt)
  if (problem !== undefined) throw invalid(problem)
  const inside = parametersOf(jwt.claims)
  const isStrict = jwtType(jwt) === strictType
  if (inside['client_id'] !== client.clientId && (isStrict || inside['client_id'] !== undefined)) {
    throw invalid('client_id_wrong')
  }
  const { response_type } = outside
  if (response_type !== undefined && ![undefined, response_type].includes(inside['response_type'])) {
    throw invalid('response_types_differ')
  }
  return Object.assign(Object.create(null), isStrict ? {} : outside, inside)
}

async function problemOf(ctx: Context, client: Client, jwt: UnverifiedJwt): Promise<string | undefined> {
  const { iss, sub, aud, request, request_uri } = jwt.claims
  const type = jwtType(jwt)
  if (!types.has(type)) return 'typ_wrong'
  if (request !== undefined || request_uri !== undefined) return 'nested'
  if (iss !== undefined && iss !== client.clientId) return 'iss_wrong'
  // Without them it is good for every server, for ever, in whose hands it ever comes. RFC 9101 §4, §10.8 ask for both of whoever
  // means it; OIDC Core §6.1 does not, and its clients leave them out.
  const isStrict = type === strictType
  if (isStrict && aud === undefined) return 'aud_missing'
  if (aud !== undefined && ![aud].flat().includes(ctx.config.server.issuer)) return 'aud_wrong'
  // An assertion by which the client proves itself is no request. RFC 9101 §10.8
  if (sub === client.clientId) return 'sub_is_client'
  const now = ctx.clock.now().getTime() / 1000
  const problem = jwtTimeProblem(jwt.claims, { now, longest: longestLife, needsEnd: isStrict })
  if (problem !== undefined) return problem
  if (jwt.header.alg === 'none') return takesUnsigned(ctx, client) ? undefined : 'unsigned'
  try {
    return await signatureProblem(ctx, client, jwt, client.requestObjectSigningAlg)
  } catch (error) {
    // It is the browser that asks here: its client is told, and not the person.
    if (error instanceof ClientKeysAwayError) return error.reason
    throw error
  }
}

/**
 * Attack 31: where the client has registered that. OIDC Registration §2 lets one that registered nothing send any; for clients
 * that registered themselves an administrator may agree.
 */
function takesUnsigned(ctx: Context, { requestObjectSigningAlg: registered, selfRegistered = false }: Client): boolean {
  if (registered !== undefined) return registered === 'none'
  return selfRegistered && ctx.config.registration.unsignedRequests
}

/** By the rules of those outside: no control characters, no more than 8 KiB each. Numbers and objects are as JSON has them. */
function parametersOf(claims: JsonObject): Parameters {
  const encoded = new URLSearchParams()
  for (const [name, value] of Object.entries(claims)) {
    if (ofJwt.has(name) || value === null) continue
    for (const each of name === 'resource' ? [value].flat() : [value]) {
      encoded.append(name, typeof each === 'string' ? each : JSON.stringify(each))
    }
  }
  try {
    return readParameters(encoded.toString(), { repeatable: ['resource'], long: ['id_token_hint'] })
  } catch (error) {
    if (error instanceof InvalidRequestError) throw invalid(error.reason, error)
    throw error
  }
}

function invalid(problem: string, cause?: unknown): InvalidRequestObjectError {
  return new InvalidRequestObjectError('The request object is not one that this client may send here now.', {
    reason: `request_object_${problem}`,
    cause,
  })
}
