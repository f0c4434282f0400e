/** Remembers which nonces were used, exactly and as long as a signature counts. */
export interface ReplayMemory {
  /**
   * Remembers the nonce until then. Of concurrent callers exactly one gets `new`.
   *
   * @param until whole seconds since 1970, after which no signature with this nonce is accepted
   * @param now seconds since 1970
   * @returns `forgotten` where a clock was set back and it can no longer be told; `full` where there is no room for it
   */
  readonly remember: (keyId: string, nonce: string, until: number, now: number) => 'new' | 'used' | 'forgotten' | 'full'
  readonly size: () => number
}

/**
 * In this process, and bounded. What is remembered is never dropped for want of room: whoever could fill the memory could
 * then send everything again.
 */
export function createReplayMemory(capacity: number): ReplayMemory {
  const used = new Set<string>()
  // By the second in which they may be forgotten; there are never more of them than a signature may be old.
  const due = new Map<number, string[]>()
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
      for (const key of keys) used.delete(key)
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
      if (used.size >= capacity) return 'full'
      used.add(key)
      const others = due.get(until)
      if (others) others.push(key)
      else due.set(until, [key])
      return 'new'
    },
    size: () => used.size,
  }
}
