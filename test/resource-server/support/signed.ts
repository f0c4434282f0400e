import type { Test } from 'tap'
import {
  type ProtectOptions,
  type RequestLike,
  type SignatureOptions,
  type SigningKey,
  signature,
} from '../../../packages/resource-server/src/index.js'
import { type SignOptions, signRequest } from '../../../packages/resource-server/src/sign.js'
import { TestIssuer } from './issuer.js'
import { longAgo } from './platform.js'
import { makeKey } from './signing.js'

export const origin = 'https://orders.example'
export const keyId = 'k3yOfTheClient01'

/** A key pair of Ed25519, whose public half is registered. */
export function makeSigningKey(token: Partial<SigningKey['token']> = {}) {
  const { privateKey, publicKey } = makeKey('EdDSA')
  const jwk = { ...publicKey.export({ format: 'jwk' }) }
  const permitted = { sub: 'service-1', clientId: keyId, scope: ['orders:read'], roles: [], expiresAt: 4e9, claims: {} }
  const key: SigningKey = { jwk, token: { ...permitted, ...token } }
  return { privateJwk: privateKey.export({ format: 'jwk' }), key }
}

type Plain<Value> = Omit<RequestLike, 'headers'> & { readonly headers: Readonly<Record<string, Value>> }

export type Sent = Plain<string>

/** The same request with other headers; undefined takes one away. */
export function withHeaders<Value extends string | readonly string[] | undefined>(
  request: Plain<Value>,
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): Plain<string | readonly string[] | undefined> {
  return { ...request, headers: { ...request.headers, ...headers } }
}

export const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"item":1}' }

/** An API that takes signed requests, at the time of its server; and a client with a key. */
export async function signedScene(
  t: Test,
  options: Partial<SignatureOptions> = {},
  protectOptions: Partial<ProtectOptions> = {},
) {
  const issuer = await TestIssuer.start(t)
  const { platform } = issuer
  const { privateJwk, key } = makeSigningKey()
  const keys = new Map([[keyId, key]])
  const scheme = signature({ origin, platform: longAgo(platform), findKey: async (id) => keys.get(id), ...options })
  const { api } = await issuer.protect(t, { schemes: [scheme], ...protectOptions })

  /** A request as it reaches the API. */
  async function send(request: Partial<SignOptions> = {}): Promise<Sent> {
    const { url = `${origin}/orders?page=2`, body } = request
    const headers = await signRequest({ key: privateJwk, keyId, platform, ...request, url })
    const rawBody = typeof body === 'string' ? new TextEncoder().encode(body) : (body ?? new Uint8Array(0))
    const { href, origin: sentTo, hash } = new URL(url)
    const target = href.slice(sentTo.length, href.length - hash.length)
    return { method: request.method ?? 'GET', url: target, headers, rawBody }
  }

  /** `ok`, or why not. */
  async function outcome(request: RequestLike): Promise<string> {
    const decision = await api.check(request)
    return decision.ok ? 'ok' : decision.reason
  }

  return { issuer, platform, api, keys, key, privateJwk, send, outcome, scheme }
}
