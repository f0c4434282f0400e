// Owns the keys of keyed hashes (client secrets, API keys, form tokens, failure counters, device cookies, status lists, rate
// limits): random, kept wrapped by the master key.

import type { Clock } from '../platform/clock.js'
import { deriveKey } from '../platform/crypto/hash.js'
import type { MasterKeys } from '../platform/crypto/master-key.js'
import type { Random } from '../platform/random.js'
import { type Database, type SecretKeyRow, secretKeys } from '../store/index.js'
import { unwrap, wrap } from './wrapping.js'

export { type MasterKeyRotation, rotateMasterKey } from './rotate-master-key.js'
export { rewrap, sealingKey, unwrap, type WrappedAs, WrongMasterKeyError, wrap, wrongMasterKey } from './wrapping.js'

export type Purpose =
  | 'client secret'
  | 'form token'
  | 'failure counter'
  | 'device cookie'
  | 'status list'
  | 'rate limit'
  | 'api key'
  | 'verified credential'
  | 'pairwise subject'
  | 'pairwise session'
  | 'client logo'

export interface SecretKey {
  readonly id: string
  readonly derive: (purpose: Purpose) => Buffer
}

export interface SecretKeys {
  /** The key for new hashes. */
  readonly current: SecretKey
  readonly find: (id: string) => SecretKey | undefined
  /** The current one first. */
  readonly all: readonly SecretKey[]
}

export interface SecretKeysOptions {
  readonly db: Database
  readonly masterKeys: MasterKeys
  readonly random: Random
  readonly clock: Clock
}

/** Unwraps the keys, and makes the first at the first start. @throws {WrongMasterKeyError} */
export async function openSecretKeys(options: SecretKeysOptions): Promise<SecretKeys> {
  const rows = await secretKeys.list(options.db)
  const keys = (rows.length > 0 ? rows : await createFirst(options)).map((row) => open(options.masterKeys, row))
  const byId = new Map(keys.map((key) => [key.id, key]))
  const current = keys.at(-1)!
  return { current, find: (id) => byId.get(id), all: keys.toReversed() }
}

async function createFirst({ db, masterKeys, random, clock }: SecretKeysOptions): Promise<readonly SecretKeyRow[]> {
  return db.transaction(async (tx) => {
    await secretKeys.lock(tx)
    const rows = await secretKeys.list(tx)
    if (rows.length > 0) return rows
    const id = random.bytes(8).toString('hex')
    const row: SecretKeyRow = {
      id,
      purpose: 'hmac',
      wrapped: wrap(random, masterKeys.current, random.bytes(32), `secret key ${id}`),
      masterKeyId: masterKeys.current.id,
      createdAt: clock.now(),
    }
    await secretKeys.create(tx, row)
    return [row]
  })
}

function open(masterKeys: MasterKeys, row: SecretKeyRow): SecretKey {
  const root = unwrap(masterKeys, row.masterKeyId, row.wrapped, `secret key ${row.id}`)
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
