import type { Platform } from '../platform.js'

/** Whose guess it is, and at what. */
export interface Guess {
  readonly clientId: string
  /** Undefined where nobody knows where it comes from. */
  readonly network: string | undefined
}

/**
 * Wrong passwords that the server was asked about. It counts them for the address of this API: whoever made up a hundred would
 * lock the API itself out, with all its callers.
 */
export interface Guesses {
  /** Seconds until the server may be asked for this caller; undefined where it may be now. */
  readonly wait: (guess: Guess) => number | undefined
  /** Takes one up until it is known what it was. */
  readonly begin: (guess: Guess) => { readonly end: (isWrong: boolean) => void }
}

/** In a window, well below what the server bears of one client (10) and one network (100), several APIs at one address included. */
const most = { client: 5, network: 10, all: 30 }

/** Milliseconds, as at the server. */
const window = 600_000

export function createGuesses({ monotonic }: Pick<Platform, 'monotonic'>): Guesses {
  // No more than `most.all`, and what is under way: nothing else is remembered of them.
  let wrong: readonly (Guess & { readonly at: number })[] = []
  const underWay = new Set<Guess>()

  return {
    wait({ clientId, network }) {
      const now = monotonic()
      wrong = wrong.filter(({ at }) => now - at < window)
      const bounds: readonly [number, (guess: Guess) => boolean][] = [
        [most.client, (guess) => guess.clientId === clientId],
        [most.network, (guess) => network !== undefined && guess.network === network],
        [most.all, () => true],
      ]
      const waits = bounds.flatMap(([bound, isAlike]) => {
        const alike = wrong.filter(isAlike)
        // The one with whose end there is room again.
        const last = alike[alike.length - bound]
        if (last) return [Math.ceil((last.at + window - now) / 1000)]
        return alike.length + [...underWay].filter(isAlike).length >= bound ? [1] : []
      })
      return waits.length > 0 ? Math.max(...waits) : undefined
    },
    begin({ clientId, network }) {
      const guess = { clientId, network }
      underWay.add(guess)
      return {
        end(isWrong) {
          underWay.delete(guess)
          if (isWrong) wrong = [...wrong, { ...guess, at: monotonic() }]
        },
      }
    },
  }
}
