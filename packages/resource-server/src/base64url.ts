const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

const values: Int8Array = new Int8Array(128).fill(-1)
for (const [value, character] of [...alphabet].entries()) values[character.charCodeAt(0)] = value

/** Negative for what is no letter of the alphabet. */
function valueAt(text: string, index: number): number {
  return values[text.charCodeAt(index)] ?? -1
}

/**
 * Bytes from the one spelling that they have. RFC 4648 §3.5, §5, RFC 7515 §2.
 *
 * Decoders of platforms let padding, line ends, the other alphabet and left-over bits through. A signature does not cover
 * its own spelling: one token would have many, each new to whoever remembers tokens (attack 77).
 *
 * @returns undefined for any other spelling
 */
export function decodeBase64url(text: string): Uint8Array<ArrayBuffer> | undefined {
  const { length } = text
  const rest = length % 4
  if (rest === 1) return undefined
  const bytes = new Uint8Array(Math.floor((length * 3) / 4))
  let size = 0
  let index = 0
  for (; index + 3 < length; index += 4) {
    const group =
      (valueAt(text, index) << 18) |
      (valueAt(text, index + 1) << 12) |
      (valueAt(text, index + 2) << 6) |
      valueAt(text, index + 3)
    if (group < 0) return undefined
    bytes[size++] = group >> 16
    bytes[size++] = group >> 8
    bytes[size++] = group
  }
  if (rest === 0) return bytes
  const [a, b, c] = [valueAt(text, index), valueAt(text, index + 1), rest === 3 ? valueAt(text, index + 2) : 0]
  const group = (a << 18) | (b << 12) | (c << 6)
  if (group < 0 || (group & (rest === 2 ? 0xffff : 0xff)) !== 0) return undefined
  bytes[size++] = group >> 16
  if (rest === 3) bytes[size] = group >> 8
  return bytes
}
