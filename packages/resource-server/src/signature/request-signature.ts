import { headerValues, type RequestLike } from '../request.js'
import { isComponent } from './signature-base.js'
import { type BareItem, type InnerList, parseByteSequences, parseInnerLists } from './structured-fields.js'

/** The parameter by which a signature says that it is for a server of ours. RFC 9421 §2.3. */
export const tag = 'ostiary'

/** What a request says of its signature. None of it has been verified. */
export interface RequestSignature {
  readonly keyId: string
  readonly nonce: string
  /** Seconds since 1970. */
  readonly created: number
  readonly expires: number | undefined
  readonly components: readonly string[]
  /** The inner list and its parameters: the last line of the signature base. */
  readonly parameters: string
  readonly signature: Uint8Array<ArrayBuffer>
}

export type SignatureFormProblem =
  | 'signature_malformed'
  /** A component that is not understood, or in a way that is not. */
  | 'component_unknown'
  /** Something that must be covered is not. */
  | 'coverage_insufficient'
  | 'algorithm_wrong'

/** Whether the request has a signature of ours, however malformed. */
export function isSigned(request: RequestLike): boolean {
  return headerValues(request, 'signature-input').some((value) => value.includes(`tag="${tag}"`))
}

/**
 * Reads the one signature that is for us; those of others are left alone. A field that was sent twice is refused: what
 * stands before the API and the API itself could each take another one.
 */
export function readSignature(request: RequestLike): RequestSignature | SignatureFormProblem {
  const [inputs, signatures] = [headerValues(request, 'signature-input'), headerValues(request, 'signature')]
  if (inputs.length !== 1 || signatures.length !== 1) return 'signature_malformed'
  const members = parseInnerLists(inputs[0]!)
  const ours = members && [...members].filter(([, { parameters }]) => parameters.get('tag') === tag)
  const [label, input] = ours?.length === 1 ? ours[0]! : []
  const signature = label === undefined ? undefined : parseByteSequences(signatures[0]!)?.get(label)
  if (!input || !signature) return 'signature_malformed'
  const parameters = readParameters(input)
  if (typeof parameters === 'string') return parameters
  const components = readComponents(input)
  if (typeof components === 'string') return components
  return { ...parameters, components, parameters: input.text, signature }
}

const known = ['created', 'expires', 'nonce', 'alg', 'keyid', 'tag']

/** The id of a key, as a nonce, holds nothing that could end or part them in the key of a store. */
export const isKeyId = (value: unknown): value is string => typeof value === 'string' && /^[\w.~-]{1,128}$/.test(value)
const isNonce = (value: BareItem | undefined): value is string =>
  typeof value === 'string' && /^[\w.~+/=-]{16,128}$/.test(value)

function readParameters({
  parameters,
}: InnerList):
  | Pick<RequestSignature, 'keyId' | 'nonce' | 'created' | 'expires'>
  | 'signature_malformed'
  | 'algorithm_wrong' {
  const get = (name: string): BareItem | undefined => parameters.get(name)
  const [created, expires, nonce, keyid, alg] = ['created', 'expires', 'nonce', 'keyid', 'alg'].map(get)
  if (![...parameters.keys()].every((name) => known.includes(name))) return 'signature_malformed'
  if (!isKeyId(keyid) || !isNonce(nonce) || typeof created !== 'number' || created < 0) return 'signature_malformed'
  if (expires !== undefined && !(typeof expires === 'number' && expires > created)) return 'signature_malformed'
  // The key has one algorithm, and what a signature says of itself is compared, never followed. RFC 9421 §3.2, §7.3.6.
  if (alg !== undefined && alg !== 'ed25519') return 'algorithm_wrong'
  return { keyId: keyid, nonce, created, expires }
}

function readComponents({ items }: InnerList): readonly string[] | 'component_unknown' | 'coverage_insufficient' {
  const names = items.map(({ value }) => value)
  // A parameter would change what is covered: another part of a field, the trailer, a request that was answered. §2.1, §2.4.
  if (items.some(({ value, parameters }) => parameters.size > 0 || !isComponent(value))) return 'component_unknown'
  if (new Set(names).size !== names.length) return 'component_unknown'
  const target =
    names.includes('@target-uri') || ['@authority', '@path', '@query'].every((each) => names.includes(each))
  return target && names.includes('@method') ? names : 'coverage_insufficient'
}
