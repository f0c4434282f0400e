import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../random.js'
import { sha256 } from './hash.js'

/** Wraps the keys that rest in the database; is never in it. */
export interface MasterKey {
  /** Stands beside what it wrapped. */
  readonly id: string
  readonly key: Buffer
}

export function masterKey(key: Buffer): MasterKey {
  return { id: sha256(Buffer.concat([Buffer.from('ostiary master key id\0'), key])).toString('hex', 0, 8), key }
}

/** The master keys that this process may use. What is wrapped says the id of its own. */
export interface MasterKeys {
  /** The one that everything should be wrapped under: of the settings, or of the data directory. */
  readonly current: MasterKey
  /** Also of a key that came into the data directory after we started: running servers outlive a rotation by that. */
  readonly find: (id: string) => MasterKey | undefined
  /** Makes another key the current one of the data directory. Undefined where the key comes from the settings. */
  readonly replace?: () => MasterKey
}

/** Keys from the settings. `previous` opens what is not wrapped anew yet, and old backups. */
export function givenMasterKeys(current: MasterKey, ...previous: readonly MasterKey[]): MasterKeys {
  return { current, find: (id) => [current, ...previous].find((key) => key.id === id) }
}

/** Keys of a data directory; the current one is made where there is none. */
export function openMasterKeyFiles(dataDir: string, random: Random, ...previous: readonly MasterKey[]): MasterKeys {
  const given = givenMasterKeys(openMasterKeyFile(dataDir, random), ...previous)
  return {
    current: given.current,
    find: (id) => given.find(id) ?? readAllKeyFiles(dataDir).find((key) => key.id === id),
    replace: () => replaceMasterKeyFile(dataDir, random),
  }
}

/**
 * Puts a new key in the place of the one in this data directory, which stays beside it: whatever is still wrapped under it
 * can be opened, and so can backups of before. Killed at any step it leaves a directory that has both or the old one.
 */
function replaceMasterKeyFile(dataDir: string, random: Random): MasterKey {
  const path = join(dataDir, 'master.key')
  const old = openMasterKeyFile(dataDir, random)
  linkUnlessThere(path, join(dataDir, `master.key.old-${old.id}`))
  syncFolder(dataDir)
  renameSync(writeDraft(dataDir, random), path)
  syncFolder(dataDir)
  return masterKey(readKeyFile(path)!)
}

function readAllKeyFiles(dataDir: string): readonly MasterKey[] {
  const names = readdirSync(dataDir).filter((name) => /^master\.key(?:\.old-[0-9a-f]{16})?$/.test(name))
  return names.flatMap((name) => {
    const key = readKeyFile(join(dataDir, name))
    return key ? [masterKey(key)] : []
  })
}

/**
 * Reads the master key of this data directory, or makes one (mode 0600) where there is none. Two processes that start at
 * once get the same.
 *
 * @throws where the file is no key: never overwritten, since everything in the database would be lost with it
 */
export function openMasterKeyFile(dataDir: string, random: Random): MasterKey {
  const path = join(dataDir, 'master.key')
  const found = readKeyFile(path)
  if (found) return masterKey(found)
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const draft = writeDraft(dataDir, random)
  try {
    linkUnlessThere(draft, path)
  } finally {
    unlinkSync(draft)
  }
  syncFolder(dataDir)
  return masterKey(readKeyFile(path)!)
}

/** A new key under a name of its own, on the disk. */
function writeDraft(dataDir: string, random: Random): string {
  const draft = join(dataDir, `master.key.${random.bytes(8).toString('hex')}`)
  const file = openSync(draft, 'wx', 0o600)
  try {
    writeSync(file, `${random.bytes(32).toString('base64')}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  return draft
}

/** A link fails where the file exists: the first of two processes wins. */
function linkUnlessThere(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** What to do about a `master.key` that other accounts may read or change; undefined where it is its owner's alone. */
export function masterKeyFileWarning(dataDir: string): string | undefined {
  // Windows keeps rights elsewhere than in these bits.
  if (process.platform === 'win32') return undefined
  const mode = statSync(join(dataDir, 'master.key'), { throwIfNoEntry: false })?.mode ?? 0
  if ((mode & 0o077) === 0) return undefined
  return 'other accounts may read master.key in DATA_DIR, which opens every key in the database: take it from them with chmod 600'
}

/** The name must outlive a power cut as the database does: without its key that is worth nothing. */
function syncFolder(path: string): void {
  // Windows opens no folders, and keeps names in its journal.
  if (process.platform === 'win32') return
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

function readKeyFile(path: string): Buffer | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const key = Buffer.from(text, 'base64')
  // The decoder leaves out what it does not know: a damaged file would be another key.
  if (key.length !== 32 || key.toString('base64') !== text) {
    throw new Error(`${path} is not a master key: 32 bytes in base64 were expected.`)
  }
  return key
}
