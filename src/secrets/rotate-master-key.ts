import type { MasterKeys } from '../platform/crypto/master-key.js'
import type { Random } from '../platform/random.js'
import { type Database, type Db, wrappedKeys } from '../store/index.js'
import { rewrap } from './wrapping.js'

export interface MasterKeyRotation {
  /** Ids of the keys that wrapped something before. */
  readonly from: readonly string[]
  readonly to: string
  /** How many were wrapped anew. */
  readonly keys: number
}

export interface RotateMasterKeyOptions {
  readonly db: Database
  readonly masterKeys: MasterKeys
  readonly random: Random
  /** In the same transaction: the audit. */
  readonly onRotated: (tx: Db, rotation: MasterKeyRotation) => Promise<void>
}

/**
 * Wraps everything under the current master key, in one transaction: whoever is killed leaves everything as it was, or
 * done. Where all is under it already, the one of the data directory is replaced first, so the new key is on the disk
 * before anything needs it. A rotation that was cut off between the two is finished, and none is begun.
 *
 * @returns undefined where all is under the key of the settings: nothing says which the new one should be
 * @throws {WrongMasterKeyError}
 */
export function rotateMasterKey(options: RotateMasterKeyOptions): Promise<MasterKeyRotation | undefined> {
  const { db, masterKeys, random, onRotated } = options
  return db.transaction(async (tx) => {
    await wrappedKeys.lock(tx)
    const rows = await wrappedKeys.list(tx)
    // Checked before anything is changed.
    for (const row of rows) rewrap(random, masterKeys, masterKeys.current, row)
    const isDone = rows.every(({ masterKeyId }) => masterKeyId === masterKeys.current.id)
    if (isDone && !masterKeys.replace) return undefined
    const to = isDone && masterKeys.replace ? masterKeys.replace() : masterKeys.current
    const stale = rows.filter(({ masterKeyId }) => masterKeyId !== to.id)
    await wrappedKeys.replace(
      tx,
      stale.map((row) => rewrap(random, masterKeys, to, row)),
    )
    const rotation = { from: [...new Set(stale.map(({ masterKeyId }) => masterKeyId))], to: to.id, keys: stale.length }
    await onRotated(tx, rotation)
    return rotation
  })
}
