// Owns the keys of keyed hashes (client secrets, form tokens, failure counters, device cookies): random, kept wrapped by the master key.

import type { Clock } from '../platform/clock.js'
import { decrypt, encrypt } from '../platform/crypto/encryption.js'
import { deriveKey } from '../platform/crypto/hash.js'
import type { MasterKey } from '../platform/crypto/master-key.js'
import type { Random } from '../platform/random.js'
import { type Database, type SecretKeyRow, secretKeys } from '../store/index.js'

export type Purpose = 'client secret' | 'form token' | 'failure counter' | 'device cookie'

export interface SecretKey {
  readonly id: string
  readonly derive: (purpose: Purpose) => Buffer
}

export interface SecretKeys {
  /** The key for new hashes. */
  readonly current: SecretKey
  readonly find: (id: string) => SecretKey | undefined
}

/** The rows were wrapped under another master key than the one that is configured. */
export class WrongMasterKeyError extends Error {
  override readonly name = 'WrongMasterKeyError'
}

export interface SecretKeysOptions {
  readonly db: Database
  readonly masterKey: MasterKey
  readonly random: Random
  readonly clock: Clock
}

/** Unwraps the keys, and makes the first at the first start. @throws {WrongMasterKeyError} */
export async function openSecretKeys(options: SecretKeysOptions): Promise<SecretKeys> {
  const rows = await secretKeys.list(options.db)
  const keys = (rows.length > 0 ? rows : await createFirst(options)).map((row) => unwrap(options.masterKey, row))
  const byId = new Map(keys.map((key) => [key.id, key]))
  const current = keys.at(-1)!
  return { current, find: (id) => byId.get(id) }
}

async function createFirst({ db, masterKey, random, clock }: SecretKeysOptions): Promise<readonly SecretKeyRow[]> {
  return db.transaction(async (tx) => {
    await secretKeys.lock(tx)
    const rows = await secretKeys.list(tx)
    if (rows.length > 0) return rows
    const id = random.bytes(8).toString('hex')
    const row: SecretKeyRow = {
      id,
      purpose: 'hmac',
      wrapped: encrypt(random, masterKey.key, random.bytes(32), context(id)),
      masterKeyId: masterKey.id,
      createdAt: clock.now(),
    }
    await secretKeys.create(tx, row)
    return [row]
  })
}

function unwrap(masterKey: MasterKey, row: SecretKeyRow): SecretKey {
  if (row.masterKeyId !== masterKey.id) throw wrongMasterKey(row.masterKeyId)
  const root = decrypt(masterKey.key, row.wrapped, context(row.id))
  const derived = new Map<Purpose, Buffer>()
  return {
    id: row.id,
    derive: (purpose) => {
      const known = derived.get(purpose)
      if (known) return known
      const key = deriveKey(root, `ostiary ${purpose}`)
      derived.set(purpose, key)
      return key
    },
  }
}

export function wrongMasterKey(expected: string): WrongMasterKeyError {
  return new WrongMasterKeyError(
    `This database was set up with another master key (its id begins with ${expected.slice(0, 8)}). Give that one by MASTER_KEY_FILE, or the DATA_DIR that holds it.`,
  )
}

const context = (id: string): string => `secret key ${id}`
