import { decrypt, encrypt } from '../platform/crypto/encryption.js'
import type { MasterKey, MasterKeys } from '../platform/crypto/master-key.js'
import type { Random } from '../platform/random.js'
import { type Db, secretKeys, type WrappedKey } from '../store/index.js'

/** The rows were wrapped under another master key than the one that is configured. */
export class WrongMasterKeyError extends Error {
  override readonly name = 'WrongMasterKeyError'
}

export function wrongMasterKey(expected: string): WrongMasterKeyError {
  return new WrongMasterKeyError(
    `This database was set up with another master key (its id begins with ${expected.slice(0, 8)}). Give that one by MASTER_KEY_FILE, or the DATA_DIR that holds it. During a rotation, give it by MASTER_KEY_PREVIOUS_FILE.`,
  )
}

/** What a wrapped key is, and its name: one cannot be put in the place of another. */
export type WrappedAs = `secret key ${string}` | `signing key ${string}`

export function wrap(random: Random, masterKey: MasterKey, key: Uint8Array, as: WrappedAs): Buffer {
  return encrypt(random, masterKey.key, key, as)
}

/** @throws {WrongMasterKeyError} */
export function unwrap(
  masterKeys: Pick<MasterKeys, 'find'>,
  masterKeyId: string,
  wrapped: Uint8Array,
  as: WrappedAs,
): Buffer {
  const masterKey = masterKeys.find(masterKeyId)
  if (!masterKey) throw wrongMasterKey(masterKeyId)
  return decrypt(masterKey.key, wrapped, as)
}

/** The same key under another master key. @throws {WrongMasterKeyError} */
export function rewrap(
  random: Random,
  masterKeys: Pick<MasterKeys, 'find'>,
  to: MasterKey,
  row: WrappedKey,
): WrappedKey {
  const as: WrappedAs = `${row.kind} ${row.id}`
  const key = unwrap(masterKeys, row.masterKeyId, row.wrapped, as)
  return { ...row, wrapped: wrap(random, to, key, as), masterKeyId: to.id }
}

/**
 * The master key for what is wrapped from now on: the one that all the rest is under. Not the one that is configured:
 * before a rotation, processes that do not know that one yet must be able to open what is new.
 *
 * @param db the transaction in which it is wrapped, which holds the lock of whoever creates keys
 * @throws {WrongMasterKeyError}
 */
export async function sealingKey(db: Db, masterKeys: MasterKeys): Promise<MasterKey> {
  const id = (await secretKeys.list(db)).at(-1)?.masterKeyId
  if (id === undefined) return masterKeys.current
  const found = masterKeys.find(id)
  if (!found) throw wrongMasterKey(id)
  return found
}
