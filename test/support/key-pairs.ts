import { generateKeyPairSync } from 'node:crypto'

/** The public half of a key pair that nobody else has. */
export function newPublicJwk(): { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string } {
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  return { kty: 'OKP', crv: 'Ed25519', x }
}
