import type { Random } from './random.js'

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** The largest multiple of 62 in a byte: what lies above is drawn again, so that each digit is as likely. */
const unbiased = 248

/** So many random letters and digits, 5.95 bits each. */
export function randomBase62(random: Random, length: number): string {
  let text = ''
  while (text.length < length) {
    for (const byte of random.bytes(length - text.length)) if (byte < unbiased) text += digits[byte % 62]
  }
  return text
}

/** A whole number from 0, filled up with zeros to so many digits. */
export function toBase62(value: number, length: number): string {
  let text = ''
  for (let rest = value; text.length < length; rest = Math.floor(rest / 62)) text = `${digits[rest % 62]}${text}`
  return text
}
