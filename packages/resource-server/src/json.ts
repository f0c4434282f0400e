export type JsonObject = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

/** Levels of what we read: a token has three or four. */
const deepest = 16

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** An object in UTF-8, by the rules of `parseObject`. */
export function parseObjectBytes(bytes: Uint8Array): JsonObject | undefined {
  try {
    return parseObject(decoder.decode(bytes))
  } catch {
    return undefined
  }
}

/**
 * An object in which no member occurs twice, at any depth: of two, each reader may believe another one (RFC 7515 §4, RFC 7519
 * §4, attack 77).
 *
 * @returns undefined for anything else
 */
export function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (!isObject(value)) return undefined
    const { members, depth } = scan(text)
    // Whatever was written twice is there once.
    return depth <= deepest && countMembers(value) === members ? value : undefined
  } catch {
    return undefined
  }
}

/** How many members were written in what is known to be JSON: each has a colon outside of texts. */
function scan(text: string): { readonly members: number; readonly depth: number } {
  let [members, depth, level] = [0, 0, 0]
  for (let index = 0; index < text.length; index++) {
    switch (text.charCodeAt(index)) {
      case 0x22 /* " */:
        index = endOfText(text, index)
        break
      case 0x3a /* : */:
        members++
        break
      case 0x7b /* { */:
      case 0x5b /* [ */:
        if (++level > depth) depth = level
        break
      case 0x7d /* } */:
      case 0x5d /* ] */:
        level--
        break
    }
  }
  return { members, depth }
}

/** The index of the quotation mark that ends the text which begins here. */
function endOfText(text: string, start: number): number {
  let index = start + 1
  for (; text.charCodeAt(index) !== 0x22; index++) if (text.charCodeAt(index) === 0x5c /* \ */) index++
  return index
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inner = Object.values(value)
  let count = Array.isArray(value) ? 0 : inner.length
  for (const item of inner) if (typeof item === 'object') count += countMembers(item)
  return count
}

/** What many requests share must be changed by none of them. */
export function freezeDeep<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) freezeDeep(inner)
  }
  return value
}
