import type { Config } from '../../platform/config/index.js'
import { type Db, type SigningKeyRow, signingKeys } from '../../store/index.js'
import type { SigningAlg } from './algorithms.js'

/** The keys of one algorithm that sign or will sign. */
export interface Line {
  readonly alg: SigningAlg
  readonly living: readonly SigningKeyRow[]
  /** The one that is published and does not sign yet. */
  readonly waiting: SigningKeyRow | undefined
  readonly current: SigningKeyRow | undefined
}

export async function linesOf(db: Db, now: Date): Promise<readonly Line[]> {
  // One that retires when its successor begins is among them: where that begins earlier, it retires earlier too.
  const rows = (await signingKeys.list(db, now)).filter((row) => !row.retiredAt || row.retiredAt > now)
  return [...new Set(rows.map((row) => row.alg as SigningAlg))].map((alg) => {
    const living = rows.filter((row) => row.alg === alg)
    return {
      alg,
      living,
      waiting: living.find((row) => row.activeAt > now),
      current: living.findLast((row) => row.activeAt <= now),
    }
  })
}

/** Whether it is time to publish a successor, and there is none. */
export function isDue({ waiting, current }: Line, now: Date, { keys }: Config): boolean {
  if (waiting) return false
  return !current || current.activeAt.getTime() + (keys.rotationInterval - keys.publishBefore) * 1000 <= now.getTime()
}
