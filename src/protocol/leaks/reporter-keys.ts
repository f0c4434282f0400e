import type { KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Context } from '../../context.js'
import { parseReporterKeys, type ReporterKeys } from '../../platform/crypto/reporter-keys.js'
import { oneAtATime } from '../../platform/one-at-a-time.js'

/** Milliseconds between two reads of the file, whatever names of keys arrive (attack 79). */
const pause = 10_000

/**
 * The keys of LEAK_REPORTER_KEYS as they are now: whoever keeps the file up to date need not restart anything, and a key that is
 * taken out of it is worth nothing soon. A file that cannot be read leaves the keys as they were.
 *
 * @returns undefined where the setting names none
 */
export function createReporterKeys({ config, clock, log }: Pick<Context, 'config' | 'clock' | 'log'>) {
  const path = config.apiKeys.leakReporterKeys
  if (path === undefined) return undefined
  let keys: ReporterKeys = new Map()
  let readAt = Number.NEGATIVE_INFINITY

  const read = oneAtATime(async () => {
    const now = clock.now().getTime()
    // Also where the clock was set back (attack 133).
    if (Math.abs(now - readAt) < pause) return
    try {
      keys = parseReporterKeys(await readFile(path, 'utf8'))
    } catch (error) {
      log.error({ err: error }, 'the keys of leak reporters could not be read')
    }
    readAt = now
  })

  return {
    async find(identifier: string): Promise<KeyObject | undefined> {
      await read()
      return keys.get(identifier)
    },
  }
}
