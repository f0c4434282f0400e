import type { Context } from '../../context.js'
import { decrypt, encrypt } from '../../platform/crypto/encryption.js'
import { deriveKeyOnce } from '../../platform/crypto/hash.js'
import type { Opaque } from '../../platform/crypto/opaque.js'
import type { Secrets } from './answer.js'

/** Only who shows the token that the change was asked by can read what it was told: the key is derived from that token. */
export function sealSecrets(ctx: Pick<Context, 'random'>, asked: Opaque, secrets: Secrets): Buffer {
  return encrypt(ctx.random, answerKey(asked), Buffer.from(JSON.stringify(secrets)), context(asked))
}

export function openSecrets(asked: Opaque, sealed: Uint8Array): Secrets {
  return JSON.parse(decrypt(answerKey(asked), sealed, context(asked)).toString('utf8')) as Secrets
}

const answerKey = (asked: Opaque): Buffer => deriveKeyOnce(asked.value, 'ostiary registration answer')
const context = (asked: Opaque): string => asked.hash.toString('hex')
