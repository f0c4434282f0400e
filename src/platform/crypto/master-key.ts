import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
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
  const draft = join(dataDir, `master.key.${random.bytes(8).toString('hex')}`)
  const file = openSync(draft, 'wx', 0o600)
  try {
    writeSync(file, `${random.bytes(32).toString('base64')}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  try {
    // A link fails where the file exists: the first of two processes wins.
    linkSync(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(draft)
  }
  syncFolder(dataDir)
  return masterKey(readKeyFile(path)!)
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
