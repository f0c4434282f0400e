/** Controls, surrogates, private use, and the invisible ones that turn or split what a person reads (attack 98). */
const visible = /^[^\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]+$/u

/**
 * One line of text that a person will read, in one form of Unicode and without space that nobody would notice.
 *
 * @param maxLength in UTF-16 units, of the text as it was given
 * @returns undefined when it is too long, blank, or holds what cannot be seen
 */
export function plainText(text: string, maxLength: number): string | undefined {
  if (text.length > maxLength || !visible.test(text)) return undefined
  return text.normalize('NFC').replace(/\s+/gu, ' ').trim() || undefined
}
