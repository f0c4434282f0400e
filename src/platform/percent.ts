/**
 * What is percent-encoded of ASCII, decoded once, and nothing else: an address may say the same in several spellings, and whatever
 * looks for a name or a secret in it must know them all.
 */
export function decodeOnce(text: string): string {
  return text.replace(/%([2-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
