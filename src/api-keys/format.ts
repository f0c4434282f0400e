import { crc32 } from 'node:zlib'
import { randomBase62, toBase62 } from '../platform/base62.js'
import { decodeOnce } from '../platform/percent.js'
import type { Random } from '../platform/random.js'

/**
 * An API key as it is written: `<prefix>_<environment>_<id><secret><checksum>`. The id is public: 16 of base62, 95 bits. The
 * secret is 43 of them, 256 bits. The checksum is CRC-32 of all that stands before it, so that a key that was mistyped or
 * made up is refused without a look at the database (attack 113), and a scanner for leaked secrets takes nothing else for
 * one.
 */
export interface ApiKeyText {
  readonly prefix: string
  readonly environment: string
  readonly id: string
}

/** What a scanner for secrets looks for, before it compares the checksum. */
export const apiKeyPattern = '\\b[a-z0-9]{1,16}_[a-z0-9]{1,16}_[0-9A-Za-z]{65}\\b'

const idLength = 16
const secretLength = 43
const checksumLength = 6
const whole = /^([a-z0-9]{1,16})_([a-z0-9]{1,16})_([0-9A-Za-z]{16})[0-9A-Za-z]{43}([0-9A-Za-z]{6})$/
const idForm = /^[0-9A-Za-z]{16}$/

/** @returns undefined for anything that we cannot have made */
export function parseApiKey(text: string): ApiKeyText | undefined {
  const [, prefix, environment, id, checksum] = whole.exec(text) ?? []
  if (prefix === undefined || environment === undefined || id === undefined) return undefined
  return checksumOf(text.slice(0, -checksumLength)) === checksum ? { prefix, environment, id } : undefined
}

/** Whether it looks like one, right or wrong: it must not be taken for a token. */
export function looksLikeApiKey(text: string): boolean {
  return whole.test(text)
}

export interface FoundApiKey extends ApiKeyText {
  readonly text: string
}

/** Keys in an address or another text, whatever stands around them, and once or twice percent-encoded. */
export function findApiKeys(text: string): readonly FoundApiKey[] {
  // Most addresses are shorter, and what is left seldom has anything of the form: both are seen at little cost.
  if (text.length < shortest) return []
  const found: FoundApiKey[] = []
  let rest = text
  for (let times = 0; times < 3; times++) {
    for (const piece of lastPart.test(rest) ? rest.split(/[^0-9A-Za-z_]/) : []) {
      // Names may be joined to it by underscores, before and behind.
      const parts = piece.split('_')
      for (let at = 2; at < parts.length && at < mostParts; at++) {
        if (parts[at]?.length !== idLength + secretLength + checksumLength) continue
        const candidate = `${parts[at - 2]}_${parts[at - 1]}_${parts[at]}`
        const key = parseApiKey(candidate)
        if (key) found.push({ ...key, text: candidate })
      }
    }
    if (!rest.includes('%')) break
    rest = decodeOnce(rest)
  }
  return found
}

/** Id, secret and checksum, wherever they stand. */
const lastPart = /_[0-9A-Za-z]{65}(?![0-9A-Za-z])/

/** Characters of a key whose prefix and environment have one letter each. */
const shortest = 69

/** Of a piece: what has more is no name that somebody gave. */
const mostParts = 100

export function isApiKeyId(text: string): boolean {
  return idForm.test(text)
}

export function drawApiKeyId(random: Random): string {
  return randomBase62(random, idLength)
}

/** The key of this id, with a secret that is drawn here and stands nowhere else. */
export function drawApiKey(random: Random, { prefix, environment, id }: ApiKeyText): string {
  const text = `${prefix}_${environment}_${id}${randomBase62(random, secretLength)}`
  return `${text}${checksumOf(text)}`
}

function checksumOf(text: string): string {
  return toBase62(crc32(text), checksumLength)
}
