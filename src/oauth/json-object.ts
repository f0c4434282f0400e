export type JsonObject = Readonly<Record<string, unknown>>

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Levels of what is read. The `claims` of an authorization request have six. */
const deepest = 16

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * An object in UTF-8 in which no member occurs twice, at any depth: of two, each reader may believe another one (RFC 7515 §4,
 * RFC 7519 §4, attack 77).
 *
 * @returns undefined for anything else
 */
export function readJsonObject(bytes: Uint8Array): JsonObject | undefined {
  try {
    const text = decoder.decode(bytes)
    const value: unknown = JSON.parse(text)
    if (!isJsonObject(value)) return undefined
    const { members, depth } = scan(text)
    // Whatever was written twice is there once.
    return depth <= deepest && countMembers(value) === members ? value : undefined
  } catch {
    return undefined
  }
}

/** How many members were written in what is known to be JSON: each has a colon outside of texts. */
function scan(text: string): { readonly members: number; readonly depth: number } {
  let [members, depth, level, isInText] = [0, 0, 0, false]
  for (let index = 0; index < text.length; index++) {
    const character = text[index]
    if (isInText) {
      if (character === '\\') index++
      else if (character === '"') isInText = false
    } else if (character === '"') isInText = true
    else if (character === ':') members++
    else if (character === '{' || character === '[') depth = Math.max(depth, ++level)
    else if (character === '}' || character === ']') level--
  }
  return { members, depth }
}

/** No deeper than the text: JSON.parse has read it. */
function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inner = Object.values(value)
  let count = Array.isArray(value) ? 0 : inner.length
  for (const item of inner) count += countMembers(item)
  return count
}
