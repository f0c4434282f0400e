import {
  InvalidClientMetadataError,
  InvalidScopeError,
  isLoopbackHost,
  isResourceIdentifier,
  parseScope,
} from '../oauth/index.js'
import { networkForm, parseNetwork } from '../platform/network.js'
import type { OutboundProblem } from '../platform/outbound/index.js'

/**
 * One function per kind of field. Each takes the metadata as it came and the name of the field, returns undefined where
 * the field was not given, and throws {InvalidClientMetadataError} with the field's name.
 */
export type WireMetadata = Readonly<Record<string, unknown>>

/** Public keys of a client. RFC 7517 §5. */
export type ClientJwks = {
  readonly keys: readonly Readonly<Record<string, unknown>>[]
}

const maxUriLength = 2048

export function invalid(name: string, what: string, cause?: unknown): InvalidClientMetadataError {
  return new InvalidClientMetadataError(`${name} ${what}.`, { reason: 'metadata_invalid', field: name, cause })
}

type TextForm = {
  readonly maxLength: number
  readonly pattern: RegExp
  /** The pattern in words. */
  readonly form: string
}

export function text(wire: WireMetadata, name: string, { maxLength, pattern, form }: TextForm): string | undefined {
  const value = wire[name]
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value.length > maxLength || !pattern.test(value)) {
    throw invalid(name, `is not a text of 1 to ${maxLength} characters (${form})`)
  }
  return value
}

/** Controls, surrogates, private use, and the invisible ones that turn or split what a person reads (attack 98). */
const visible = /^[^\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]+$/u

/** A text that people will see, in one form of Unicode and without space that nobody would notice (attack 98). */
export function displayText(wire: WireMetadata, name: string, maxLength: number): string | undefined {
  const value = text(wire, name, { maxLength, pattern: visible, form: 'no control or invisible characters' })
  if (value === undefined) return undefined
  const normalized = value.normalize('NFC').replace(/ {2,}/g, ' ').trim()
  if (normalized === '') throw invalid(name, 'is blank')
  return normalized
}

export function oneOf<T extends string>(wire: WireMetadata, name: string, values: readonly T[]): T | undefined {
  const value = wire[name]
  if (value === undefined) return undefined
  const known = values.find((candidate) => candidate === value)
  if (known === undefined) throw invalid(name, `is not one of ${values.join(', ')}`)
  return known
}

export function list(wire: WireMetadata, name: string, maxItems: number): readonly string[] | undefined {
  const value = wire[name]
  if (value === undefined) return undefined
  if (!Array.isArray(value) || value.length > maxItems || !value.every((item) => typeof item === 'string')) {
    throw invalid(name, `is not a list of at most ${maxItems} texts`)
  }
  return [...new Set<string>(value)]
}

export function listOf(wire: WireMetadata, name: string, values: readonly string[]): readonly string[] | undefined {
  const items = list(wire, name, 20)
  if (items?.some((item) => !values.includes(item)))
    throw invalid(name, `has an item that is not one of ${values.join(', ')}`)
  return items
}

export function flag(wire: WireMetadata, name: string): boolean | undefined {
  const value = wire[name]
  if (value === undefined || typeof value === 'boolean') return value
  throw invalid(name, 'is not true or false')
}

export function seconds(wire: WireMetadata, name: string, minimum: number, maximum: number): number | undefined {
  const value = wire[name]
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > maximum) {
    throw invalid(name, `is not a whole number of seconds from ${minimum} to ${maximum}`)
  }
  return value
}

export function scope(wire: WireMetadata, name: string): readonly string[] {
  const value = wire[name] ?? ''
  if (typeof value !== 'string' || value.length > 8192)
    throw invalid(name, 'is not a text of scopes separated by spaces')
  try {
    return parseScope(value)
  } catch (error) {
    if (error instanceof InvalidScopeError) throw invalid(name, 'is not scopes separated by single spaces', error)
    throw error
  }
}

export function contacts(wire: WireMetadata): readonly string[] {
  const items = list(wire, 'contacts', 20) ?? []
  for (const item of items) {
    if (item.length > 320 || !visible.test(item))
      throw invalid('contacts', 'has an item that is too long or not visible')
  }
  return items
}

/** What a page shows as a link. A `javascript:` one would run as ours (attack 127). */
export function link(wire: WireMetadata, name: string): string | undefined {
  const url = webUrl(wire, name)
  if (url === undefined) return undefined
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) throw invalid(name, 'is not an https URL')
  return url.text
}

/** What speaks against an address that we would ask for a client, before anybody is asked. */
export type SupportedAddresses = (url: string) => OutboundProblem | undefined

/**
 * What a machine may fetch. An address instead of a name, or a name of this machine, is refused already here; what the
 * name resolves to is checked when it is fetched (attack 95).
 */
export function fetchableUri(wire: WireMetadata, name: string, problemOf: SupportedAddresses): string | undefined {
  const url = webUrl(wire, name)
  if (url === undefined) return undefined
  switch (problemOf(url.text)) {
    case undefined:
      return url.text
    case 'outbound_not_https':
      throw invalid(name, 'is not an https URL')
    case 'outbound_not_public':
      throw invalid(name, 'names no public host')
    default:
      throw invalid(name, 'is not a URL')
  }
}

/** Each of a list. */
export function fetchableUris(wire: WireMetadata, name: string, problemOf: SupportedAddresses): readonly string[] {
  const items = list(wire, name, 20) ?? []
  for (const item of items) fetchableUri({ [name]: item }, name, problemOf)
  return items
}

type WebUrl = {
  readonly text: string
  readonly protocol: string
  readonly hostname: string
}

function webUrl(wire: WireMetadata, name: string): WebUrl | undefined {
  const value = text(wire, name, { maxLength: maxUriLength, pattern: /^https?:\/\/[\x21-\x7e]+$/, form: 'a URL' })
  if (value === undefined) return undefined
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url?.username !== '' || url.password !== '') throw invalid(name, 'is not a URL')
  return { text: value, protocol: url.protocol, hostname: url.hostname }
}

/** Exactly what a browser sends as `Origin`: no path, no wildcard, not `null` (attack 121). RFC 6454 §6.2. */
export function allowedOrigins(wire: WireMetadata): readonly string[] {
  const origins = list(wire, 'allowed_origins', 50) ?? []
  for (const origin of origins) {
    const url = origin.length <= maxUriLength && URL.canParse(origin) ? new URL(origin) : undefined
    const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopbackHost(url.hostname))
    if (!url || !isSafe || url.origin !== origin || origin.includes('*')) {
      throw invalid('allowed_origins', 'has an item that is not an origin such as https://app.example.com')
    }
  }
  return origins
}

export function allowedResources(wire: WireMetadata): readonly string[] {
  const resources = list(wire, 'allowed_resources', 100)
  if (resources === undefined) return []
  // An empty list is stored for "any". Whoever writes one means "none".
  if (resources.length === 0) throw invalid('allowed_resources', 'is empty: leave it out to allow any')
  if (!resources.every(isResourceIdentifier)) {
    throw invalid('allowed_resources', 'has an item that is not an absolute URI without a fragment')
  }
  return resources
}

/** In the one spelling that addresses are compared with. */
export function allowedNetworks(wire: WireMetadata): readonly string[] {
  const networks = list(wire, 'allowed_networks', 100)
  if (networks === undefined) return []
  // An empty list is stored for "from anywhere". Whoever writes one means "from nowhere".
  if (networks.length === 0) throw invalid('allowed_networks', 'is empty: leave it out to allow any')
  return [...new Set(networks.map(allowedNetwork))]
}

function allowedNetwork(item: string): string {
  const network = parseNetwork(item)
  if (network !== undefined) return network
  throw invalid('allowed_networks', `has an item that is not a network, ${networkForm}`)
}

/** RFC 7517 §4.1; no symmetric keys, since a JWK Set of a client is public. */
const keyTypes: ReadonlySet<unknown> = new Set(['EC', 'RSA', 'OKP'])
/** RFC 7518 §6.2.2, §6.3.2, §6.4.1. */
export const privateMembers: readonly string[] = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

export function jwks(wire: WireMetadata): ClientJwks | undefined {
  const value = wire.jwks
  if (value === undefined) return undefined
  const keys = isObject(value) && Array.isArray(value.keys) ? value.keys : []
  if (keys.length === 0 || keys.length > 20 || JSON.stringify(value).length > 65_536) {
    throw invalid('jwks', 'is not a JWK Set of 1 to 20 keys')
  }
  for (const key of keys) {
    if (!isObject(key) || !keyTypes.has(key.kty)) throw invalid('jwks', 'has an item that is no public key')
    if (privateMembers.some((member) => Object.hasOwn(key, member))) {
      throw invalid('jwks', 'has a private key: register the public half, and take the private one for disclosed')
    }
  }
  return { keys }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
