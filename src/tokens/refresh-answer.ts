import type { Context } from '../context.js'
import type { Parameters } from '../oauth/index.js'
import { decrypt, encrypt } from '../platform/crypto/encryption.js'
import { deriveKeyOnce, sha256 } from '../platform/crypto/hash.js'
import type { TokenResponse } from './issue.js'
import type { Opaque } from './opaque.js'

/** What may differ between a request and its retry: who the client is was proved anew. */
const proofs = new Set(['client_id', 'client_secret', 'client_assertion', 'client_assertion_type'])

/** Two requests with the same parameters, proofs of the client aside, have the same hash, in whatever order they stand. */
export function hashRequest(parameters: Parameters): Buffer {
  const names = Object.keys(parameters).filter((name) => !proofs.has(name))
  return sha256(JSON.stringify(names.sort().map((name) => [name, parameters[name]])))
}

/** Only who presents the same refresh token again can read the answer: its key is derived from that token. */
export function sealAnswer(ctx: Pick<Context, 'random'>, token: Opaque, response: TokenResponse): Buffer {
  return encrypt(ctx.random, answerKey(token), Buffer.from(JSON.stringify(response)), context(token))
}

export function openAnswer(token: Opaque, sealed: Uint8Array): TokenResponse {
  return JSON.parse(decrypt(answerKey(token), sealed, context(token)).toString('utf8')) as TokenResponse
}

const answerKey = (token: Opaque): Buffer => deriveKeyOnce(token.value, 'ostiary refresh answer')
const context = (token: Opaque): string => token.hash.toString('hex')
