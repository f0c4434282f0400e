import { decodeBase64url } from '../base64url.js'

/** What a parameter can say. Tokens, decimals and dates are no part of any signature's parameters. RFC 9421 §2.3. */
export type BareItem = string | number | boolean | Uint8Array<ArrayBuffer>

export type Parameters = ReadonlyMap<string, BareItem>

/** An inner list of strings, each of which may have parameters. RFC 9651 §3.1.1. */
export interface InnerList {
  readonly items: readonly { readonly value: string; readonly parameters: Parameters }[]
  readonly parameters: Parameters
  /** As it was sent, which is as it would be serialized: no other spelling is read. */
  readonly text: string
}

/** Characters of a field, and members, items and parameters of each: what is more is not read at all. */
const limits = { characters: 8192, entries: 64 }

const lowercase = 'abcdefghijklmnopqrstuvwxyz'
const digits = '0123456789'

/** `Signature-Input`: a dictionary of inner lists. RFC 9421 §4.1. */
export function parseInnerLists(text: string): ReadonlyMap<string, InnerList> | undefined {
  return parseDictionary(text, readInnerList)
}

/** `Signature` and `Content-Digest`: a dictionary of byte sequences. RFC 9421 §4.2, RFC 9530 §2. */
export function parseByteSequences(text: string): ReadonlyMap<string, Uint8Array<ArrayBuffer>> | undefined {
  return parseDictionary(text, readBytes)
}

/** The one spelling of bytes. RFC 9651 §4.1.8. */
export function serializeBytes(bytes: Uint8Array): string {
  return `:${btoa(String.fromCharCode(...bytes))}:`
}

/**
 * A dictionary in which no key occurs twice and whose values have their canonical spelling. RFC 9651 §4.2 takes the last of
 * two keys and lets spaces and padding through: then a signature would cover another text than was sent, and each reader
 * might take another member for the one that is meant.
 *
 * @returns undefined for anything else
 */
function parseDictionary<Value>(
  text: string,
  readValue: (scanner: Scanner) => Value | undefined,
): ReadonlyMap<string, Value> | undefined {
  if (text.length > limits.characters) return undefined
  const scanner = createScanner(text)
  const members = new Map<string, Value>()
  do {
    scanner.run(' \t')
    const key = readKey(scanner)
    if (key === undefined || members.has(key) || members.size === limits.entries) return undefined
    if (!scanner.accept('=')) return undefined
    const value = readValue(scanner)
    if (value === undefined) return undefined
    members.set(key, value)
    scanner.run(' \t')
  } while (scanner.accept(','))
  return scanner.atEnd() ? members : undefined
}

function readInnerList(scanner: Scanner): InnerList | undefined {
  const start = scanner.position()
  if (!scanner.accept('(')) return undefined
  const items: { value: string; parameters: Parameters }[] = []
  if (!scanner.accept(')')) {
    do {
      const value = readString(scanner)
      const parameters = value === undefined ? undefined : readParameters(scanner)
      if (value === undefined || !parameters || items.length === limits.entries) return undefined
      items.push({ value, parameters })
    } while (scanner.accept(' '))
    if (!scanner.accept(')')) return undefined
  }
  const parameters = readParameters(scanner)
  return parameters && { items, parameters, text: scanner.since(start) }
}

function readParameters(scanner: Scanner): Parameters | undefined {
  const parameters = new Map<string, BareItem>()
  while (scanner.accept(';')) {
    const key = readKey(scanner)
    if (key === undefined || parameters.has(key) || parameters.size === limits.entries) return undefined
    // What is true is not written. RFC 9651 §4.1.1.2.
    const value = scanner.accept('=') ? readBareItem(scanner) : true
    if (value === undefined) return undefined
    parameters.set(key, value)
  }
  return parameters
}

function readBareItem(scanner: Scanner): BareItem | undefined {
  switch (scanner.next()) {
    case '"':
      return readString(scanner)
    case ':':
      return readBytes(scanner)
    case '?':
      return scanner.accept('?0') ? false : undefined
    default:
      return readInteger(scanner)
  }
}

function readKey(scanner: Scanner): string | undefined {
  const start = scanner.next()
  if (!`${lowercase}*`.includes(start) || start === '') return undefined
  return scanner.run(`${lowercase}${digits}_-.*`)
}

/** Fifteen digits at most, none of them needless. RFC 9651 §3.3.1. */
function readInteger(scanner: Scanner): number | undefined {
  const text = scanner.run(`${digits}-`)
  return /^(?:0|-?[1-9]\d{0,14})$/.test(text) ? Number(text) : undefined
}

/** Printable ASCII, in which only quotation mark and backslash are escaped. RFC 9651 §3.3.3. */
function readString(scanner: Scanner): string | undefined {
  if (!scanner.accept('"')) return undefined
  let value = ''
  for (;;) {
    const character = scanner.take()
    if (character === '"') return value
    const escaped = character === '\\' ? scanner.take() : undefined
    if (escaped !== undefined && escaped !== '"' && escaped !== '\\') return undefined
    if (!/^[ -~]$/.test(character)) return undefined
    value += escaped ?? character
  }
}

function readBytes(scanner: Scanner): Uint8Array<ArrayBuffer> | undefined {
  if (!scanner.accept(':')) return undefined
  const text = scanner.run(`${lowercase}${lowercase.toUpperCase()}${digits}+/=`)
  if (!scanner.accept(':') || text.length % 4 !== 0) return undefined
  const [letters = '', ...padding] = text.split(/(?==)/)
  if (padding.length > 2 || padding.some((each) => each !== '=')) return undefined
  return decodeBase64url(letters.replaceAll('+', '-').replaceAll('/', '_'))
}

/** Goes over a text once. */
interface Scanner {
  readonly position: () => number
  readonly atEnd: () => boolean
  /** The character that comes, which stays; empty at the end. */
  readonly next: () => string
  /** The character that came; empty at the end. */
  readonly take: () => string
  /** Goes over what is expected, if that is what comes. */
  readonly accept: (expected: string) => boolean
  /** Goes over all that comes of these characters. */
  readonly run: (characters: string) => string
  readonly since: (start: number) => string
}

function createScanner(text: string): Scanner {
  let index = 0
  return {
    position: () => index,
    atEnd: () => index === text.length,
    next: () => text.charAt(index),
    take: () => text.charAt(index++),
    accept(expected) {
      if (!text.startsWith(expected, index)) return false
      index += expected.length
      return true
    },
    run(characters) {
      const start = index
      while (index < text.length && characters.includes(text.charAt(index))) index++
      return text.slice(start, index)
    },
    since: (start) => text.slice(start, index),
  }
}
