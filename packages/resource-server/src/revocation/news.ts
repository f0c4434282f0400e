import type { RevocationTarget } from './entries.js'

/** When something was last heard of each target. */
export interface News {
  /** Now, for whoever asks later. */
  readonly moment: () => number
  /** Whether something was heard of one of these since that moment. What is too long ago to tell counts as heard. */
  readonly isOf: (targets: readonly RevocationTarget[], since: number) => boolean
  readonly hear: (targets: readonly RevocationTarget[]) => void
  /** All is told anew: of what was known before nothing can be said. */
  readonly forget: () => void
}

/** Targets that are remembered: answers that this is asked about are a minute old at most. */
const capacity = 10_000

export function createNews(): News {
  /** In the order of their moments, so that the oldest leaves first. */
  const heard = new Map<string, number>()
  let moment = 0
  /** Up to here it is not known of what was heard. */
  let forgotten = 0
  const keyOf = ({ kind, id }: RevocationTarget): string => `${kind} ${id}`

  return {
    moment: () => moment,
    isOf: (targets, since) => since < forgotten || targets.some((target) => (heard.get(keyOf(target)) ?? 0) > since),
    hear(targets) {
      if (targets.length === 0) return
      moment++
      for (const target of targets) {
        // Nothing that is remembered of answers ends with one of these.
        if (target.kind === 'token' || target.kind === 'grant' || target.kind === 'session') continue
        const key = keyOf(target)
        heard.delete(key)
        heard.set(key, moment)
      }
      for (const [oldest, at] of heard) {
        if (heard.size <= capacity) break
        heard.delete(oldest)
        forgotten = at
      }
    },
    forget() {
      heard.clear()
      forgotten = ++moment
    },
  }
}
