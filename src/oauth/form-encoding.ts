/** What may not stand in an encoded form, whole or in part. */
export const outsideForm = /[^\x20-\x7e]/

/** Controls (C0, DEL, C1), and the replacement character, which is what other decoders make of malformed UTF-8. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const forbidden = /[\x00-\x1f\x7f-\x9f\ufffd]/

/**
 * Decodes one name or value of application/x-www-form-urlencoded. RFC 6749 Appendix B.
 *
 * The text is what stands on the wire: everything outside ASCII has to be percent-encoded there. A bare space is let
 * through, because people type `curl -d 'scope=read write'`.
 *
 * @returns undefined where the percent-encoding or the UTF-8 is malformed, or where a control character comes out
 */
export function decodeFormComponent(encoded: string): string | undefined {
  return outsideForm.test(encoded) ? undefined : decodeAscii(encoded)
}

/** The same for what is known to be ASCII without controls. */
export function decodeAscii(encoded: string): string | undefined {
  const spaced = encoded.includes('+') ? encoded.replaceAll('+', ' ') : encoded
  if (!spaced.includes('%')) return spaced
  try {
    // Refuses overlong forms and surrogates, unlike the decoders that put U+FFFD in their place.
    const decoded = decodeURIComponent(spaced)
    return forbidden.test(decoded) ? undefined : decoded
  } catch {
    return undefined
  }
}
