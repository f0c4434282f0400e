import { parseByteSequences, serializeBytes } from './structured-fields.js'

/** Those that an attacker cannot bend. RFC 9530 §5: `md5`, `sha` and the sums must not be relied on here. */
const hashes: Readonly<Record<string, { readonly name: string; readonly bytes: number }>> = {
  'sha-256': { name: 'SHA-256', bytes: 32 },
  'sha-512': { name: 'SHA-512', bytes: 64 },
}

export type DigestProblem = 'digest_malformed' | 'digest_wrong'

/**
 * Compares the body with every digest that the field has of a hash that counts, of which there must be one. RFC 9530 §2.
 *
 * @param field the value of `Content-Digest`
 * @returns undefined where they agree
 */
export async function problemOfDigest(
  field: string,
  body: Uint8Array<ArrayBuffer>,
): Promise<DigestProblem | undefined> {
  const digests = parseByteSequences(field)
  if (!digests) return 'digest_malformed'
  let compared = 0
  for (const [key, digest] of digests) {
    const hash = Object.hasOwn(hashes, key) ? hashes[key] : undefined
    if (!hash) continue
    if (digest.length !== hash.bytes) return 'digest_malformed'
    const actual = new Uint8Array(await crypto.subtle.digest(hash.name, body))
    if (!actual.every((byte, index) => byte === digest[index])) return 'digest_wrong'
    compared++
  }
  return compared > 0 ? undefined : 'digest_malformed'
}

/** The value of `Content-Digest`, by SHA-256. */
export async function contentDigest(body: Uint8Array<ArrayBuffer>): Promise<string> {
  return `sha-256=${serializeBytes(new Uint8Array(await crypto.subtle.digest('SHA-256', body)))}`
}
