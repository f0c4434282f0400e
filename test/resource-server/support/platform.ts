import type { Platform } from '../../../packages/resource-server/src/index.js'
import { systemPlatform } from '../../../packages/resource-server/src/platform.js'
import type { Clock } from '../../../src/platform/clock.js'
import { TEST_START } from '../../support/clock.js'

interface Timer {
  readonly at: number
  readonly callback: () => void
}

/** Time that stands still until the test moves it, and the real network. */
export class TestPlatform implements Platform {
  #now = TEST_START.getTime()
  #monotonic = 5_000
  #timers: Timer[] = []
  #underWay = 0
  /** Addresses that were fetched, oldest first. */
  readonly fetched: string[] = []

  readonly now = () => this.#now
  readonly monotonic = () => this.#monotonic
  readonly random = () => 0.5

  readonly fetch = (url: string, init: RequestInit): Promise<Response> => {
    this.fetched.push(url)
    this.#underWay++
    return fetch(url, init).finally(() => {
      this.#underWay--
    })
  }

  readonly setTimer = (callback: () => void, milliseconds: number): (() => void) => {
    const timer = { at: this.#monotonic + milliseconds, callback }
    this.#timers.push(timer)
    // No time has to pass for it.
    if (milliseconds <= 0) setImmediate(() => this.advance(0))
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer)
    }
  }

  /** Seconds since 1970, as tokens have them. */
  get seconds(): number {
    return Math.floor(this.#now / 1000)
  }

  /** Milliseconds. Timers that are due meanwhile call back, each at its time. */
  advance(milliseconds: number): void {
    const end = this.#monotonic + milliseconds
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
      if (!next) break
      this.#move(next.at - this.#monotonic)
      this.#timers = this.#timers.filter((each) => each !== next)
      next.callback()
    }
    this.#move(end - this.#monotonic)
  }

  /**
   * Lets time pass, step by step, until this holds. It stands still while somebody waits for the network: a slow machine must
   * not look like a slow server.
   */
  passUntil(what: string, holds: () => boolean, step = 20): Promise<void> {
    return until(what, () => {
      if (holds()) return true
      if (this.#underWay === 0) this.advance(step)
      return false
    })
  }

  #move(milliseconds: number): void {
    this.#monotonic += milliseconds
    this.#now += milliseconds
  }

  /** The clock alone, as somebody sets it. */
  setClock(milliseconds: number): void {
    this.#now += milliseconds
  }

  get timers(): number {
    return this.#timers.length
  }

  /** How often this was fetched. */
  count(part: string): number {
    return this.fetched.filter((url) => url.includes(part)).length
  }
}

/** Waits, in real time, for what the network brings about. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const patience = Date.now() + 20_000
  while (!(await holds())) {
    if (Date.now() > patience) throw new Error(`it never came true that ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** The time as an API has it that began an hour ago: it knows what was sent to it since. */
export function longAgo(platform: Pick<Platform, 'now'>): Pick<Platform, 'now'> {
  let started = false
  return {
    now() {
      if (started) return platform.now()
      started = true
      return platform.now() - 3_600_000
    },
  }
}

/** The time of a server that runs in this process, and the real network, as long as it is not away. */
export class ServerPlatform implements Platform {
  readonly #clock: Clock
  readonly #start: number
  /** Milliseconds that have passed here and not at the server. */
  ahead = 0
  away = false
  /** What was asked and answered, oldest first. */
  readonly answers: { readonly path: string; readonly status: number }[] = []

  constructor(clock: Clock) {
    this.#clock = clock
    this.#start = clock.now().getTime()
  }

  readonly now = () => this.#clock.now().getTime() + this.ahead
  readonly monotonic = () => this.now() - this.#start
  readonly random = () => 0.5

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    if (this.away) throw new TypeError('fetch failed')
    const response = await fetch(url, init)
    this.answers.push({ path: new URL(url).pathname, status: response.status })
    return response
  }

  /** Nothing is waited for but the network. */
  readonly setTimer: Platform['setTimer'] = () => () => undefined
}

/** The same, which begins anew where a jump of the time cut the feed off: pauses take as long as they take. */
export class WaitingPlatform extends ServerPlatform {
  override readonly setTimer = systemPlatform.setTimer
}
