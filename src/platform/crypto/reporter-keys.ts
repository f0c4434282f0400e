import { createPublicKey, type KeyObject } from 'node:crypto'

/** Keys by which others sign what they report, by the names that they gave them. */
export type ReporterKeys = ReadonlyMap<string, KeyObject>

/**
 * Reads them as GitHub publishes those of its secret scanning:
 * `{"public_keys":[{"key_identifier":"…","key":"-----BEGIN PUBLIC KEY-----…"}]}`. ECDSA on P-256 alone. Keys that are not
 * current are good too, while they are in the file: a report that is refused is not sent again.
 *
 * @throws {TypeError} that says what is wrong
 */
export function parseReporterKeys(text: string): ReporterKeys {
  const { public_keys: listed } = parseObject(text)
  if (!Array.isArray(listed) || listed.length === 0) throw new TypeError('has no list public_keys')
  return new Map(listed.map(readKey))
}

function parseObject(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text))
  } catch (cause) {
    throw new TypeError('is not JSON', { cause })
  }
}

function readKey(entry: unknown): readonly [identifier: string, key: KeyObject] {
  const { key_identifier: identifier, key: pem } = Object(entry)
  if (typeof identifier !== 'string' || !isIdentifier(identifier) || typeof pem !== 'string') {
    throw new TypeError('has an entry that is not a key_identifier and a key')
  }
  const key = publicKey(pem)
  if (key?.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new TypeError('has a key that is none of P-256')
  return [identifier, key]
}

/** What can be the name of a key: it comes in a header field. */
export function isIdentifier(text: string): boolean {
  return /^[\w.-]{1,128}$/.test(text)
}

function publicKey(pem: string): KeyObject | undefined {
  try {
    return createPublicKey(pem)
  } catch {
    return undefined
  }
}
