import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { deflateRaw } from 'node:zlib'
import type { MasterKeys } from '../platform/crypto/master-key.js'
import type { Random } from '../platform/random.js'
import { rewrap } from '../secrets/index.js'
import { type Description, type MovedTable, type Snapshot, withSnapshot } from '../store/index.js'
import {
  type ArchiveHeader,
  type ArchiveRecord,
  archiveKeys,
  type KeySource,
  newHeader,
  writeHeader,
} from './format.js'

const deflate = promisify<Buffer, { level: number }, Buffer>(deflateRaw)

export interface TableCount {
  readonly name: string
  readonly rows: number
}

/** So far, of the table that is read or written. */
export type Progress = (table: string, rows: number) => void

export interface SaveOptions {
  readonly databaseUrl: string
  /** Not there yet, or to be replaced. */
  readonly path: string
  readonly source: KeySource
  /** Open what is wrapped, for an export. */
  readonly masterKeys: MasterKeys
  readonly release: string
  readonly random: Random
  readonly now: Date
  readonly onProgress?: Progress
}

export interface Saved {
  readonly header: ArchiveHeader
  readonly tables: readonly TableCount[]
  /** Of the file. */
  readonly bytes: number
  /** Servers were connected to the database. */
  readonly served: boolean
}

/**
 * Writes the whole database as it is at one moment, while servers go on, in a memory that does not grow with it. The file
 * has its name when it is complete and on the disk, and its owner alone reads it.
 */
export async function saveArchive(options: SaveOptions): Promise<Saved> {
  const { path, source, random } = options
  const header = newHeader(options, source)
  const keys = await archiveKeys(header, source)
  const draft = `${path}.${random.bytes(8).toString('hex')}.part`
  const file = await open(draft, 'wx', 0o600)
  try {
    const saved = await withSnapshot(options.databaseUrl, async (snapshot) => {
      const write = await writeHeader(file, header, keys.file)
      // An export leaves the master key behind: what is inside is wrapped under the file's own.
      const wrapped =
        source.from === 'passphrase'
          ? (await snapshot.wrappedKeys()).map((key) => rewrap(random, options.masterKeys, keys.wrapping, key))
          : undefined
      return writeTables(snapshot, write, wrapped, options.onProgress)
    })
    const { size } = await file.stat()
    await file.sync()
    await file.close()
    await rename(draft, path)
    await syncFolder(dirname(path))
    return { header, ...saved, bytes: size }
  } catch (error) {
    await file.close().catch(() => undefined)
    await rm(draft, { force: true })
    throw error
  }
}

type Write = (kind: ArchiveRecord['kind'], payload: Uint8Array) => Promise<number>

async function writeTables(
  snapshot: Snapshot,
  write: Write,
  wrapped: Awaited<ReturnType<Snapshot['wrappedKeys']>> | undefined,
  onProgress: Progress = () => undefined,
): Promise<{ readonly tables: readonly TableCount[]; readonly served: boolean }> {
  const { description } = snapshot
  const tables: TableCount[] = []
  await write('description', json<Description>(description))
  for (const table of description.tables) {
    await write('table', Buffer.from(table.name))
    const rows = await writeRows(table, snapshot.rows(table, wrapped), write, onProgress)
    await write('table end', json(rows))
    tables.push({ name: table.name, rows })
  }
  await write('end', json({ tables: tables.length, rows: tables.reduce((sum, { rows }) => sum + rows, 0) }))
  return { tables, served: description.served }
}

/** Bytes of a record before it is compressed. */
const recordLength = 262_144

async function writeRows(
  { name }: MovedTable,
  data: AsyncIterable<Buffer>,
  write: Write,
  onProgress: Progress,
): Promise<number> {
  let waiting: Buffer[] = []
  let length = 0
  let rows = 0
  const flush = async (): Promise<void> => {
    if (length === 0) return
    const whole = Buffer.concat(waiting)
    waiting = []
    length = 0
    rows += countRows(whole)
    await write('rows', await deflate(whole, { level: 1 }))
    onProgress(name, rows)
  }
  for await (const chunk of data) {
    waiting.push(chunk)
    length += chunk.length
    if (length >= recordLength) await flush()
  }
  await flush()
  return rows
}

/** In PostgreSQL's text format a line break ends a row, and stands nowhere else. */
export function countRows(data: Buffer): number {
  let rows = 0
  for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10, at + 1)) rows++
  return rows
}

function json<Value>(value: Value): Buffer {
  return Buffer.from(JSON.stringify(value))
}

/** A name must outlive a power cut as the file does. Windows opens no folders, and keeps names in its journal. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  let folder: FileHandle | undefined
  try {
    folder = await open(path, 'r')
    await folder.sync()
  } finally {
    await folder?.close()
  }
}
