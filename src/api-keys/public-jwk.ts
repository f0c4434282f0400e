import { decodeBase64url } from '../oauth/index.js'
import { ed25519Problem } from '../platform/crypto/ed25519.js'
import { sha256 } from '../platform/crypto/hash.js'
import { type ApiKey, apiKeys, type Db } from '../store/index.js'
import { invalid } from './invalid.js'

export type PublicJwk = Readonly<Record<string, unknown>>

/** Ed25519 alone, and nothing of the private half. RFC 8037 §2. @throws {InvalidValueError} */
export function checkPublicJwk(jwk: PublicJwk | undefined): PublicJwk {
  const { kty, crv, x, d } = jwk ?? {}
  if (d !== undefined) throw invalid('jwk', 'The JWK has a private half, which belongs to the signer alone.')
  const bytes = typeof x === 'string' ? decodeBase64url(x) : undefined
  if (kty !== 'OKP' || crv !== 'Ed25519' || bytes?.length !== 32) {
    throw invalid('jwk', 'A signing key is an Ed25519 public key as a JWK: kty OKP, crv Ed25519, x.')
  }
  if (ed25519Problem(bytes) !== undefined) {
    throw invalid('jwk', 'That is no public key of a key pair: anybody could make up signatures for it.')
  }
  return { kty, crv, x }
}

/**
 * The public key of a successor: whoever has the private half of the one before must not have its own (attack 116), so it is
 * none that a key of its chain ever had. A key that is shown as a text has none.
 *
 * @throws {InvalidValueError}
 */
export async function nextPublicJwk(tx: Db, key: ApiKey, next: PublicJwk | undefined): Promise<PublicJwk | undefined> {
  if (key.kind !== 'signing') {
    if (next !== undefined) throw invalid('jwk', 'Only a signing key has one.')
    return undefined
  }
  if (next === undefined) {
    throw invalid('jwk', 'A signing key is rotated to another key pair: give the public key of a new one.')
  }
  const checked = checkPublicJwk(next)
  const thumbprint = thumbprintOf(checked)
  for (const before of await apiKeys.publicJwksOfChain(tx, key)) {
    if (!thumbprintOf(before).equals(thumbprint)) continue
    throw invalid('jwk', 'This key or one before it has that public key: make a new key pair.')
  }
  return checked
}

/** RFC 7638, of a JWK whose `x` may be written in another way than the one that is checked now. */
function thumbprintOf({ kty, crv, x }: PublicJwk): Buffer {
  return sha256(JSON.stringify({ crv, kty, x: Buffer.from(String(x), 'base64url').toString('base64url') }))
}
