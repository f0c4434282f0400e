import type { Test } from 'tap'

export interface HeldTimers {
  /** Milliseconds of those that run. */
  readonly running: () => readonly number[]
  /** Their time has come. */
  readonly goOff: () => void
}

/** From here on to the end of the test, timers of these lengths go off by hand. */
export function holdTimers(t: Test, isHeld: (milliseconds: number) => boolean): HeldTimers {
  const held = new Map<NodeJS.Timeout, { readonly milliseconds: number; readonly goOff: () => void }>()
  const { setTimeout: set, clearTimeout: clear } = globalThis
  const setHeld = (callback: (...given: unknown[]) => void, milliseconds = 0, ...given: unknown[]): NodeJS.Timeout => {
    if (!isHeld(milliseconds)) return set(callback, milliseconds, ...given)
    // One of its kind, for whoever calls `unref`.
    const timer = set(() => undefined, 2 ** 31 - 1).unref()
    held.set(timer, { milliseconds, goOff: () => callback(...given) })
    return timer
  }
  const clearHeld = (timer: NodeJS.Timeout | undefined): void => {
    if (timer) held.delete(timer)
    clear(timer)
  }
  t.intercept(globalThis, 'setTimeout', { value: setHeld })
  t.intercept(globalThis, 'clearTimeout', { value: clearHeld })
  return {
    running: () => [...held.values()].map(({ milliseconds }) => milliseconds),
    goOff() {
      const all = [...held.values()]
      held.clear()
      for (const { goOff } of all) goOff()
    },
  }
}
