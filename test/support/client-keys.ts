import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { CompactSign } from 'jose'
import { createOutbound, type Outbound, type OutboundAnswer } from '../../src/platform/outbound/index.js'
import { type TestServer, testIssuer } from './server.js'

export type Json = Readonly<Record<string, unknown>>

export interface TestKey {
  readonly alg: string
  readonly privateKey: KeyObject
  /** Public, with `kid`, `alg` and `use`. */
  readonly jwk: Json
}

/** A key pair of a client. */
export function makeKey(alg = 'ES256', kid = 'first'): TestKey {
  const { privateKey, publicKey } =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : alg === 'EdDSA'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { alg, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' } }
}

/** A JWS in compact form. A header member that is undefined is left out. */
export function signed(key: TestKey, claims: Json, header: Json = {}): Promise<string> {
  const whole = { alg: key.alg, kid: key.jwk['kid'], ...header }
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ ...JSON.parse(JSON.stringify(whole)) })
    .sign(key.privateKey)
}

/** RFC 7519 §6. */
export function unsigned(claims: Json, header: Json = {}): string {
  return `${encoded({ alg: 'none', ...header })}.${encoded(claims)}.`
}

export function encoded(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

export const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

let assertions = 0

/** Claims that are right in every part. RFC 7523 §3. */
export function assertionClaims(server: Pick<TestServer, 'clock'>, clientId: string, more: Json = {}): Json {
  const now = Math.floor(server.clock.now().getTime() / 1000)
  return { iss: clientId, sub: clientId, aud: testIssuer, exp: now + 60, iat: now, jti: `${++assertions}`, ...more }
}

/** What proves a client in a form. */
export async function proofOf(server: TestServer, key: TestKey, clientId: string, more: Json = {}, header: Json = {}) {
  const client_assertion = await signed(key, assertionClaims(server, clientId, more), header)
  return { client_assertion_type: assertionType, client_assertion }
}

export interface TestJwksHost {
  readonly outbound: Outbound
  /** Addresses, in the order in which they were asked for. */
  readonly asked: string[]
  /** What is answered from now on. */
  answer: (url: string) => Promise<OutboundAnswer>
}

/** Everybody out there, of whom nobody is really asked. */
export function createJwksHost(keys: readonly Json[] = []): TestJwksHost {
  const asked: string[] = []
  const host: TestJwksHost = {
    asked,
    answer: async () => jwksAnswer(keys),
    outbound: {
      ...createOutbound({ allow: [] }),
      checks: () => async () => undefined,
      get(url) {
        asked.push(url)
        return host.answer(url)
      },
    },
  }
  return host
}

export function jwksAnswer(keys: readonly Json[], headers: Readonly<Record<string, string>> = {}): OutboundAnswer {
  return { status: 200, headers, body: Buffer.from(JSON.stringify({ keys })) }
}
