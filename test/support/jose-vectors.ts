import { readFileSync } from 'node:fs'
import type { JWK } from 'jose'

// Published vectors of JWS and JWK, for all that read a token: test/vectors says where they are from.

export interface JwsVector {
  readonly tcId: number
  readonly comment: string
  readonly jws: unknown
  readonly result: 'valid' | 'invalid'
}

export interface VectorGroup {
  readonly comment: string
  /** Missing where there are only secrets. */
  readonly public?: JWK & { readonly keys?: readonly JWK[] }
  readonly private: JWK & { readonly keys?: readonly JWK[] }
  readonly tests: readonly JwsVector[]
}

interface VectorFile {
  readonly numberOfTests: number
  readonly testGroups: readonly VectorGroup[]
}

interface PrintedVectors {
  readonly jws: readonly { section: string; jwk: JWK; alg: string; compact: string }[]
  readonly jwk: readonly { section: string; jwk: JWK; problem?: string; thumbprint?: string }[]
}

const read = (path: string) => JSON.parse(readFileSync(new URL(`../vectors/${path}`, import.meta.url), 'utf8'))

/** Of those two files; nothing here decrypts, so that one that is good is a token as little as one that is not. */
export interface JweVector {
  readonly name: string
  readonly jwk: JWK
  readonly jwe: unknown
}

interface MixedFile {
  readonly testGroups: readonly (Omit<VectorGroup, 'tests'> & {
    readonly tests: readonly (JwsVector & { readonly jwe?: unknown })[]
  })[]
}

function onlySigned({ testGroups }: MixedFile): VectorFile {
  const signed = testGroups.filter(({ tests }) => tests.every((test) => 'jws' in test))
  return { testGroups: signed, numberOfTests: signed.reduce((sum, { tests }) => sum + tests.length, 0) }
}

function encrypted(path: string): readonly JweVector[] {
  const { testGroups }: MixedFile = read(path)
  return testGroups.flatMap((group) =>
    group.tests
      .filter((test) => 'jwe' in test)
      .map(({ tcId, comment, jwe }) => ({
        name: `${path} ${tcId} ${group.comment}: ${comment}`,
        jwk: group.public ?? group.private,
        jwe,
      })),
  )
}

export const wycheproofJws: VectorFile = read('wycheproof/json_web_signature_test.json')
/** Of keys, signatures and encryption together: the signatures of it. */
export const wycheproofCrypto: VectorFile = onlySigned(read('wycheproof/json_web_crypto_test.json'))
export const wycheproofJwk: VectorFile = read('wycheproof/json_web_key_test.json')
export const wycheproofJwe: readonly JweVector[] = [
  ...encrypted('wycheproof/json_web_crypto_test.json'),
  ...encrypted('wycheproof/json_web_encryption_test.json'),
]
export const printed: PrintedVectors = read('rfc/jose.json')
