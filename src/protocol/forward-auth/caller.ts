import type { IncomingMessage } from 'node:http'
import { findApiKeys, looksLikeApiKey } from '../../api-keys/index.js'
import type { Origin } from '../../context.js'
import type { AcceptedCredential, Gateway } from '../../gateways/index.js'
import {
  InvalidRequestError,
  InvalidTokenError,
  MissingTokenError,
  TemporarilyUnavailableError,
} from '../../oauth/index.js'
import { decodeOnce } from '../../platform/percent.js'
import type { AddressProblem, CallerAddress } from './caller-address.js'
import { problemOfTransport } from './caller-transport.js'

/** Whoever sent the gateway a request, and what they showed. */
export interface Caller {
  readonly kind: AcceptedCredential
  /** The token or key; of `basic` the whole field. */
  readonly credential: string
  /** Without an address where that is not known, for the reason behind it. */
  readonly from: Origin
  readonly addressUnknown: AddressProblem | undefined
  /** `Origin`, where a browser wrote it. */
  readonly page: string | undefined
}

const bearer = /^Bearer +([\w.~+/-]+=*)$/i

export interface Asked {
  readonly gateway: Gateway
  /** What its callers may show it now. */
  readonly accepted: readonly AcceptedCredential[]
  /** The path behind its name. */
  readonly rest: string
  readonly requestId: string
  readonly address: CallerAddress
}

/** Of the refusal of a password whose API has Basic off. */
export const basicOff = 'basic_off'

/**
 * One credential, in one of two headers.
 *
 * @throws {MissingTokenError} where there is none that this gateway accepts
 * @throws {TemporarilyUnavailableError} where it accepts passwords alone, and its API none: a 401 could name no scheme that would do
 * @throws {InvalidRequestError} {InvalidTokenError}
 */
export function readCaller(request: IncomingMessage, { gateway, accepted, rest, requestId, address }: Asked): Caller {
  const { headers } = request
  refuseInAddress(addressesOf(request, rest))
  const repeated = repeatedFields(request)
  const { authorization } = headers
  const key = headers['x-api-key']?.toString()
  if (['authorization', 'x-api-key', 'origin'].some((name) => repeated.has(name))) {
    throw new InvalidRequestError('A header field is repeated.', { reason: 'header_repeated' })
  }
  if (authorization !== undefined && key !== undefined) {
    throw new InvalidRequestError('Two credentials are shown: send one.', { reason: 'credentials_mixed' })
  }
  if (accepted.length === 0) {
    // The audit says of passwords alone that they were refused without a look.
    const reason = isBasic(authorization) ? basicOff : 'nothing_accepted'
    throw new TemporarilyUnavailableError('Nothing is accepted here now.', { reason, retryAfter: 60 })
  }
  const shown = key === undefined ? readAuthorization(authorization) : readKey(key)
  if (!accepted.includes(shown.kind)) {
    const reason = gateway.accept.includes(shown.kind) ? basicOff : 'kind_not_accepted'
    throw new MissingTokenError('This kind of credential is not accepted here.', { reason })
  }
  const insecure = shown.kind === 'basic' ? problemOfTransport(request, address) : undefined
  if (insecure) throw new InvalidRequestError('A password is accepted by https alone.', { reason: insecure })
  return { ...shown, from: { ip: address.ip, requestId }, addressUnknown: address.unknown, page: headers.origin }
}

type Shown = Pick<Caller, 'kind' | 'credential'>

function isBasic(field = ''): boolean {
  return /^Basic(?: |$)/i.test(field)
}

function readAuthorization(field = ''): Shown {
  if (isBasic(field)) return { kind: 'basic', credential: field }
  if (!/^Bearer(?: |$)/i.test(field)) {
    throw new MissingTokenError('A credential is missing.', { reason: 'credential_missing' })
  }
  const [, token] = bearer.exec(field) ?? []
  if (token === undefined) {
    throw new InvalidRequestError('The Authorization header holds no token.', { reason: 'token_malformed' })
  }
  return { kind: looksLikeApiKey(token) ? 'api-key' : 'access-token', credential: token }
}

function readKey(key: string): Shown {
  if (looksLikeApiKey(key)) return { kind: 'api-key', credential: key }
  throw new InvalidTokenError('X-API-Key holds no API key.', { reason: 'key_malformed' })
}

/** Where proxies put the address that their caller asked for. It is read for this alone, and permits nothing. */
const addressFields = ['x-original-uri', 'x-original-url', 'x-forwarded-uri'] as const

/** All that a request says of the address that it was for. */
export function addressesOf({ headers }: IncomingMessage, rest: string): readonly string[] {
  return [rest, ...addressFields.map((name) => headers[name]?.toString() ?? '')]
}

/** Of the refusal of a credential that stands in one. */
export const inAddress = 'secret_in_query'

const namesOfCredentials = /[?&](?:access_token|api_key|apikey|x-api-key)=/i

/**
 * What stands in an address stands in logs and histories (RFC 6750 §5.3; attacks 73 and 113). It is refused, so that
 * nobody gets used to it, whatever else the request shows.
 */
function refuseInAddress(addresses: readonly string[]): void {
  for (const address of addresses) {
    if (findApiKeys(address).length > 0) throw credentialInAddress()
    const at = address.indexOf('?')
    if (at < 0) continue
    if (holdsCredential(address.slice(at))) throw credentialInAddress()
  }
}

export function credentialInAddress(): InvalidRequestError {
  return new InvalidRequestError('Credentials belong into a header field, never into the address.', {
    reason: inAddress,
  })
}

/** As it stands there, and once or twice encoded, as @ostiary/resource-server looks for keys: whoever logs it may decode it. */
function holdsCredential(query: string): boolean {
  if (findApiKeys(query).length > 0) return true
  let text = query
  for (let times = 0; times < 3; times++) {
    if (namesOfCredentials.test(text)) return true
    if (text.split(/[?&=;,+ ]/).some((part) => looksLikeApiKey(part) || part.startsWith('oat_'))) return true
    if (!text.includes('%')) return false
    text = decodeOnce(text)
  }
  return false
}

const single: ReadonlySet<string> = new Set(['authorization', 'x-api-key', 'x-gateway-authorization', 'origin'])

/** Of the fields that may stand once, those that stand twice: Node joins them, or keeps the first. */
export function repeatedFields({ rawHeaders }: IncomingMessage): ReadonlySet<string> {
  const seen = new Set<string>()
  const repeated = new Set<string>()
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!.toLowerCase()
    if (!single.has(name)) continue
    if (seen.has(name)) repeated.add(name)
    seen.add(name)
  }
  return repeated
}
