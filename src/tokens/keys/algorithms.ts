import {
  constants,
  createPublicKey,
  sign as cryptoSign,
  verify as cryptoVerify,
  generateKeyPair as generate,
  type KeyObject,
} from 'node:crypto'
import { promisify } from 'node:util'

export const signingAlgs = ['ES256', 'RS256', 'PS256', 'EdDSA'] as const

export type SigningAlg = (typeof signingAlgs)[number]

export function isSigningAlg(text: string): text is SigningAlg {
  return (signingAlgs as readonly string[]).includes(text)
}

const generateKeys = promisify(generate)

/**
 * A new private key. RSA has 2048 bits, the least that RFC 7518 §3.3 allows: NIST SP 800-57 takes them until 2030, a key signs for
 * some months, and one of 3072 bits takes four times as long for each ID token.
 */
export async function generatePrivateKey(alg: SigningAlg): Promise<KeyObject> {
  switch (alg) {
    case 'ES256':
      return (await generateKeys('ec', { namedCurve: 'P-256' })).privateKey
    case 'EdDSA':
      return (await generateKeys('ed25519', {})).privateKey
    case 'RS256':
    case 'PS256':
      return (await generateKeys('rsa', { modulusLength: 2048 })).privateKey
  }
}

/** The public half, without anything else. RFC 7517 §4, RFC 8037 §2. */
export function publicJwk(privateKey: KeyObject): Record<string, unknown> {
  return createPublicKey(privateKey).export({ format: 'jwk' }) as Record<string, unknown>
}

/** Elliptic curves sign in microseconds, on the event loop; RSA takes ten times that and goes to the thread pool. */
export function signsOnEventLoop(alg: SigningAlg): alg is 'ES256' | 'EdDSA' {
  return alg === 'ES256' || alg === 'EdDSA'
}

/** RFC 7518 §3.4, RFC 8037 §3.1. */
export function signAtOnce(alg: SigningAlg, key: KeyObject, data: Uint8Array): Buffer {
  return alg === 'EdDSA' ? cryptoSign(null, data, key) : cryptoSign('sha256', data, { key, dsaEncoding: 'ieee-p1363' })
}

/** The same for all algorithms, and for what is so large that its hash alone takes milliseconds. */
export function signOnThreadPool(alg: SigningAlg, key: KeyObject, data: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, signature: Buffer): void => (error ? reject(error) : resolve(signature))
    if (alg === 'EdDSA') cryptoSign(null, data, key, done)
    else if (alg === 'ES256') cryptoSign('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, done)
    else cryptoSign('sha256', data, { key, ...rsaOptions(alg) }, done)
  })
}

/** Whether the key's private half signed this. RSA too is quick here: a tenth of its signature. */
export function verifySignature(alg: SigningAlg, key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  switch (alg) {
    case 'ES256':
      return cryptoVerify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature)
    case 'EdDSA':
      return cryptoVerify(null, data, key, signature)
    case 'RS256':
    case 'PS256':
      return cryptoVerify('sha256', data, { key, ...rsaOptions(alg) }, signature)
  }
}

/** RFC 7518 §3.3, §3.5: PSS with a salt as long as the hash. */
function rsaOptions(alg: 'RS256' | 'PS256') {
  return alg === 'PS256'
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : { padding: constants.RSA_PKCS1_PADDING }
}
