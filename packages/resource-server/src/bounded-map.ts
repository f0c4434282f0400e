/** Bounded in entries and in the characters of their keys: what was put in first leaves first. */
export interface BoundedMap<Value> {
  readonly get: (key: string) => Value | undefined
  readonly set: (key: string, value: Value) => void
  readonly delete: (key: string) => void
  readonly clear: () => void
  readonly size: () => number
}

/**
 * A map by the text itself. JavaScript hashes it with a seed of the process and then compares all of it: so nothing can
 * collide, no second hash has to be computed, and how long a comparison takes tells nothing, since texts with different
 * hashes are never compared.
 */
export function createBoundedMap<Value>(entries: number, characters: number): BoundedMap<Value> {
  const map = new Map<string, Value>()
  let length = 0

  function remove(key: string): void {
    if (map.delete(key)) length -= key.length
  }

  return {
    get: (key) => map.get(key),
    set(key, value) {
      remove(key)
      if (key.length > characters) return
      map.set(key, value)
      length += key.length
      for (const oldest of map.keys()) {
        if (map.size <= entries && length <= characters) break
        remove(oldest)
      }
    },
    delete: remove,
    clear() {
      map.clear()
      length = 0
    },
    size: () => map.size,
  }
}
