/** What an API key says of itself: all of it is public. */
export interface ApiKeyText {
  readonly prefix: string
  readonly environment: string
  readonly id: string
}

/** `<prefix>_<environment>_<id><secret><checksum>`. */
const whole = /^([a-z0-9]{1,16})_([a-z0-9]{1,16})_([0-9A-Za-z]{16})[0-9A-Za-z]{43}([0-9A-Za-z]{6})$/

/** Characters of the shortest. */
export const shortest = 69

/** @returns undefined for what no server can have made: it was mistyped or made up (attack 113) */
export function parseApiKey(text: string): ApiKeyText | undefined {
  const [, prefix, environment, id, checksum] = whole.exec(text) ?? []
  if (prefix === undefined || environment === undefined || id === undefined) return undefined
  return checksumOf(text.slice(0, -6)) === checksum ? { prefix, environment, id } : undefined
}

/** Whether it looks like one, right or wrong: it must not be taken for a token. */
export function looksLikeApiKey(text: string): boolean {
  return whole.test(text)
}

/** Every key in a text, whatever stands around it. */
export function findApiKeys(text: string): readonly string[] {
  if (text.length < shortest) return []
  return text
    .split(/[^0-9A-Za-z_]/)
    .flatMap(candidatesIn)
    .filter((candidate) => parseApiKey(candidate) !== undefined)
}

/** Of a piece: what has more is no name that somebody gave. */
const mostParts = 100

/** Names may be joined to a key by underscores, before and behind. */
function candidatesIn(piece: string): readonly string[] {
  const parts = piece.split('_').slice(0, mostParts)
  return parts.flatMap((part, at) =>
    at >= 2 && part.length === longestPart ? [`${parts[at - 2]}_${parts[at - 1]}_${part}`] : [],
  )
}

/** Id, secret and checksum. */
const longestPart = 65

/** CRC-32 in six digits of base62. */
function checksumOf(text: string): string {
  let written = ''
  for (let rest = crc32(text); written.length < 6; rest = Math.floor(rest / 62))
    written = `${digits[rest % 62]}${written}`
  return written
}

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Of ASCII, bit by bit: for the 70 characters of a key it takes a microsecond. */
function crc32(text: string): number {
  let crc = -1
  for (let index = 0; index < text.length; index++) {
    crc ^= text.charCodeAt(index)
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0)
  }
  return ~crc >>> 0
}
