/** Remembers which nonces were used, exactly and as long as a signature counts. */
export interface ReplayMemory {
  /**
   * Remembers the nonce until then. Of concurrent callers exactly one gets `new`.
   *
   * @param until whole seconds since 1970, after which no signature with this nonce is accepted
   * @param now seconds since 1970
   * @returns `forgotten` where a clock was set back and it can no longer be told; `full` where there is no room for it, or the key has its share
   */
  readonly remember: (keyId: string, nonce: string, until: number, now: number) => 'new' | 'used' | 'forgotten' | 'full'
  readonly size: () => number
}

/**
 * In this process, and bounded. What is remembered is never dropped for want of room: whoever could fill the memory could
 * then send everything again.
 */
export function createReplayMemory(capacity: number): ReplayMemory {
  // Whoever fills it with one key keeps nobody out but that key.
  const share = Math.max(1, Math.floor(capacity / 4))
  const ofKey = new Map<string, number>()
  const used = new Set<string>()
  // By the second in which they may be forgotten; there are never more of them than a signature may be old.
  const due = new Map<number, (readonly [keyId: string, key: string])[]>()
  // The latest that was forgotten: a clock that is set back makes its like acceptable again, and nothing is known of them.
  let forgottenUntil = 0
  let lookedAt = 0

  function forget(now: number): void {
    const second = Math.floor(now)
    if (second === lookedAt) return
    lookedAt = second
    for (const [until, keys] of due) {
      // In its last second it is still accepted.
      if (until >= second) continue
      for (const [keyId, key] of keys) {
        used.delete(key)
        const left = (ofKey.get(keyId) ?? 0) - 1
        if (left > 0) ofKey.set(keyId, left)
        else ofKey.delete(keyId)
      }
      due.delete(until)
      forgottenUntil = Math.max(forgottenUntil, until)
    }
  }

  return {
    remember(keyId, nonce, until, now) {
      forget(now)
      if (until <= forgottenUntil) return 'forgotten'
      // Neither has a space in it.
      const key = `${keyId} ${nonce}`
      if (used.has(key)) return 'used'
      const held = ofKey.get(keyId) ?? 0
      if (used.size >= capacity || held >= share) return 'full'
      used.add(key)
      ofKey.set(keyId, held + 1)
      const others = due.get(until)
      if (others) others.push([keyId, key])
      else due.set(until, [[keyId, key]])
      return 'new'
    },
    size: () => used.size,
  }
}
