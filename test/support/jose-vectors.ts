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

export const wycheproofJws: VectorFile = read('wycheproof/json_web_signature_test.json')
export const wycheproofJwk: VectorFile = read('wycheproof/json_web_key_test.json')
export const printed: PrintedVectors = read('rfc/jose.json')
