import { createCipheriv, createDecipheriv } from 'node:crypto'

const tagLength = 16

/**
 * Records that are read in the order in which they were written, all of them or not at all: AES-256-GCM whose nonce is the
 * number of the record and whether it is the last. A record left out, moved, doubled or altered does not open, and neither
 * does one of another file. (The STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015.)
 *
 * @param key of this one file: the nonces of two files are the same
 * @param header stands in plain before the records, and is authenticated with each
 */
export interface Sealing {
  readonly key: Uint8Array
  readonly header: Uint8Array
}

/** @returns seals the next record */
export function createSealer({ key, header }: Sealing): (record: Uint8Array, isLast: boolean) => Buffer {
  let number = 0
  return (record, isLast) => {
    const cipher = createCipheriv('aes-256-gcm', key, nonce(number++, isLast))
    cipher.setAAD(header)
    const body = Buffer.concat([cipher.update(record), cipher.final()])
    return Buffer.concat([cipher.getAuthTag(), body])
  }
}

/** @returns opens the next record, and throws where it is not what was sealed as that */
export function createOpener({ key, header }: Sealing): (sealed: Uint8Array, isLast: boolean) => Buffer {
  let number = 0
  return (sealed, isLast) => {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce(number++, isLast), { authTagLength: tagLength })
    decipher.setAAD(header)
    decipher.setAuthTag(sealed.subarray(0, tagLength))
    return Buffer.concat([decipher.update(sealed.subarray(tagLength)), decipher.final()])
  }
}

function nonce(number: number, isLast: boolean): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeUIntBE(number, 5, 6)
  bytes[11] = isLast ? 1 : 0
  return bytes
}
