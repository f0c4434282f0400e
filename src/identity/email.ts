import { domainToASCII } from 'node:url'

/** RFC 5321 §4.5.3.1.3, less the angle brackets. */
const maxLength = 254
/** RFC 5321 §4.5.3.1.1. */
const maxLocalLength = 64

/** `atext` of RFC 5322 §3.2.3, and the letters and digits of RFC 6532; dots between. No quoted local parts. */
const localPart = /^[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(?:\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u

/** What a domain may be before it is turned into ASCII: nothing that a URL parser would read as something else. */
const domainCharacters = /^[\p{L}\p{M}\p{N}.-]+$/u
const asciiDomain = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z][a-z0-9-]{0,61}[a-z0-9]$/

/**
 * An address in the one form in which addresses are kept and compared, so that two spellings cannot be two accounts
 * (attack 108): without space around it, compatibility forms folded (NFKC), in small letters, an international domain as
 * punycode.
 *
 * @returns undefined for what is no address: control characters and line breaks, spaces, a second or a lookalike `@`
 */
export function normaliseEmail(text: string): string | undefined {
  // A bound before the work: normalising may make eighteen characters of one.
  if (text.length > 2 * maxLength) return undefined
  const trimmed = text.trim()
  // Before folding: U+FF20 and U+FE6B would become an @ by it, and must not.
  const [local = '', domain = '', ...rest] = trimmed.split('@')
  if (rest.length > 0 || /[\p{C}\p{Z}]/u.test(trimmed)) return undefined

  const foldedLocal = fold(local)
  const foldedDomain = fold(domain)
  if (!localPart.test(foldedLocal) || Buffer.byteLength(foldedLocal) > maxLocalLength) return undefined
  if (!domainCharacters.test(foldedDomain)) return undefined
  const ascii = domainToASCII(foldedDomain)
  if (!asciiDomain.test(ascii)) return undefined

  const address = `${foldedLocal}@${ascii}`
  return address.length <= maxLength ? address : undefined
}

/** Small letters of compatibility forms can have compatibility forms again. */
function fold(text: string): string {
  return text.normalize('NFKC').toLowerCase().normalize('NFKC')
}
