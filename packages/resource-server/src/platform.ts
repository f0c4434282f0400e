/** What the verifier takes from its surroundings. A test passes its own, and moves the time by hand. */
export interface Platform {
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Milliseconds from any beginning, which no change of the clock moves. */
  readonly monotonic: () => number
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  /** Calls back once. @returns how to take it back */
  readonly setTimer: (callback: () => void, milliseconds: number) => () => void
  /** From 0 to 1, to spread reconnections; nothing secret comes of it. */
  readonly random: () => number
}

export const systemPlatform: Platform = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  fetch: (url, init) => fetch(url, init),
  setTimer(callback, milliseconds) {
    const timer = setTimeout(callback, milliseconds)
    return () => clearTimeout(timer)
  },
  random: () => Math.random(),
}

/** Resolves after so many milliseconds, or with the signal. */
export function sleep(platform: Platform, milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = platform.setTimer(done, milliseconds)
    signal.addEventListener('abort', done)
  })
}

/**
 * What the promise gives, or the reason of the signal as soon as that is aborted. Streams of some runtimes now and then
 * neither end nor fail when their request is aborted, and whoever waited for them would wait for ever.
 */
export function abortable<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
