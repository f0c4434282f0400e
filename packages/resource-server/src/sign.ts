// For clients: signs a request with an Ed25519 key, for an API that checks it with `signature`.

import { type Platform, systemPlatform } from './platform.js'
import { contentDigest } from './signature/content-digest.js'
import { isKeyId, tag } from './signature/request-signature.js'
import { signatureBase } from './signature/signature-base.js'
import { serializeBytes } from './signature/structured-fields.js'

export interface SignOptions {
  /** The private key, of Ed25519; as a `CryptoKey` it is imported once and need not be extractable. */
  readonly key: CryptoKey | JsonWebKey
  /** The id under which the server knows its public half. */
  readonly keyId: string
  /** As it will be sent; default GET. */
  readonly method?: string
  readonly url: string | URL
  /** Of the request. Its content type and encoding are covered, and what `cover` names. */
  readonly headers?: HeadersInit
  /** As it will be sent, byte by byte. */
  readonly body?: string | Uint8Array<ArrayBuffer>
  /** Names of further headers that are covered. What stands between client and API must not change them. */
  readonly cover?: readonly string[]
  /** Time, for tests. */
  readonly platform?: Pick<Platform, 'now'>
}

const encoder = new TextEncoder()

/**
 * The headers to send: those that were given, the digest of the body, and the signature, which is good once and for a minute.
 * RFC 9421 §3.1, RFC 9530 §2.
 *
 * @throws {TypeError} where the request could not be sent, or the key is none
 */
export async function signRequest(options: SignOptions): Promise<Record<string, string>> {
  const { keyId, body, cover = [], platform = systemPlatform } = options
  if (!isKeyId(keyId)) throw new TypeError('keyId is none')
  const url = new URL(options.url)
  // What fetch does not send, and what it does to methods.
  url.hash = ''
  if (url.username !== '' || url.password !== '') throw new TypeError('url has credentials in it')
  const { method = 'GET' } = options
  const sent = /^(?:delete|get|head|options|post|put)$/i.test(method) ? method.toUpperCase() : method
  const headers = new Headers(options.headers)
  if (body !== undefined) {
    // It would come in on the way, and is covered.
    if (typeof body === 'string' && !headers.has('content-type'))
      headers.set('content-type', 'text/plain;charset=UTF-8')
    headers.set('content-digest', await contentDigest(typeof body === 'string' ? encoder.encode(body) : body))
  }
  const fields = ['content-digest', 'content-type', 'content-encoding'].filter((name) => headers.has(name))
  const components = [...new Set(['@method', '@target-uri', ...fields, ...cover.map((name) => name.toLowerCase())])]
  const covered = components.map((name) => `"${name}"`).join(' ')
  const created = Math.floor(platform.now() / 1000)
  const parameters = `(${covered});created=${created};nonce="${drawNonce()}";keyid="${keyId}";alg="ed25519";tag="${tag}"`
  const field = (name: string): readonly string[] => [headers.get(name) ?? []].flat()
  const base = signatureBase(components, { method: sent, origin: url.origin, url: url.href, field }, parameters)
  if (base === undefined) throw new TypeError('a header that is covered is missing, or is no printable ASCII')
  const key = await importKey(options.key)
  const signature = new Uint8Array(await crypto.subtle.sign('Ed25519', key, encoder.encode(base)))
  headers.set('signature-input', `${tag}=${parameters}`)
  headers.set('signature', `${tag}=${serializeBytes(signature)}`)
  const all: Record<string, string> = {}
  headers.forEach((value, name) => {
    all[name] = value
  })
  return all
}

function drawNonce(): string {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(18))))
}

async function importKey(key: CryptoKey | JsonWebKey): Promise<CryptoKey> {
  if ('algorithm' in key) return key
  return crypto.subtle.importKey('jwk', { kty: key.kty, crv: key.crv, x: key.x, d: key.d }, 'Ed25519', false, ['sign'])
}
