import { createHash, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

export type Json = Readonly<Record<string, unknown>>

export const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** A key pair as a server has it, made and used by Node's own cryptography: nothing here is shared with what is tested. */
export interface TestKey {
  readonly alg: string
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly jwk: Json
}

export function makeKey(alg = 'ES256'): TestKey {
  const { privateKey, publicKey } = generate(alg)
  const jwk = publicKey.export({ format: 'jwk' })
  const kid = createHash('sha256').update(JSON.stringify(jwk)).digest('base64url')
  return { alg, kid, privateKey, publicKey, jwk: { ...jwk, kid, alg, use: 'sig' } }
}

function generate(alg: string) {
  switch (alg) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    case 'ES384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' })
    case 'EdDSA':
      return generateKeyPairSync('ed25519')
    default:
      return generateKeyPairSync('rsa', { modulusLength: 2048 })
  }
}

/** A compact JWS whose header and payload are taken as they are. */
export function signWith({ alg, privateKey }: TestKey, header: unknown, payload: unknown): string {
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${signatureOf(alg, privateKey, input).toString('base64url')}`
}

export function signatureOf(alg: string, key: KeyObject, input: string): Buffer {
  const data = Buffer.from(input)
  const hash = `sha${alg.slice(2)}`
  if (alg === 'EdDSA') return sign(null, data, key)
  if (alg.startsWith('ES')) return sign(hash, data, { key, dsaEncoding: 'ieee-p1363' })
  // 6 is RSA_PKCS1_PSS_PADDING, 1 is RSA_PKCS1_PADDING; -1 is a salt as long as the hash.
  return sign(hash, data, alg.startsWith('PS') ? { key, padding: 6, saltLength: -1 } : { key, padding: 1 })
}

export function hmac(secret: string | Buffer, header: unknown, payload: unknown): string {
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}
