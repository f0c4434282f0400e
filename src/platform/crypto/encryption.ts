import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { Random } from '../random.js'

const ivLength = 12
const tagLength = 16

/**
 * AES-256-GCM: iv, tag and ciphertext in one buffer.
 *
 * @param context what the ciphertext belongs to; decryption with another context fails, so rows cannot be swapped
 */
export function encrypt(random: Random, key: Uint8Array, plaintext: Uint8Array, context: string): Buffer {
  const iv = random.bytes(ivLength)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  cipher.setAAD(Buffer.from(context))
  const body = cipher.update(plaintext)
  // Nothing is left for it in this mode; the tag is there after it.
  cipher.final()
  return Buffer.concat([iv, cipher.getAuthTag(), body])
}

/** @throws when the key, the context or a bit is wrong */
export function decrypt(key: Uint8Array, ciphertext: Uint8Array, context: string): Buffer {
  const iv = ciphertext.subarray(0, ivLength)
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: tagLength })
  decipher.setAAD(Buffer.from(context))
  decipher.setAuthTag(ciphertext.subarray(ivLength, ivLength + tagLength))
  return Buffer.concat([decipher.update(ciphertext.subarray(ivLength + tagLength)), decipher.final()])
}
