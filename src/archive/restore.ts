import { promisify } from 'node:util'
import { inflateRaw } from 'node:zlib'
import type { MasterKeys } from '../platform/crypto/master-key.js'
import type { Random } from '../platform/random.js'
import { rewrap } from '../secrets/index.js'
import { checkDescription, type Description, type Loading, loadDatabase, type MovedTable } from '../store/index.js'
import {
  type ArchiveHeader,
  type ArchiveRecord,
  altered,
  archiveKeys,
  type KeySource,
  readHeader,
  readRecords,
} from './format.js'
import { countRows, type Progress, type TableCount } from './save.js'

const inflate = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw)

export interface RestoreOptions {
  readonly databaseUrl: string
  readonly path: string
  readonly source: KeySource
  readonly masterKeys: MasterKeys
  readonly random: Random
  readonly now: Date
  /** Also where the database is not empty. */
  readonly replace: boolean
  /** Sessions, grants, tokens and signing keys too. Undefined: where no server was connected when the file was made. */
  readonly keepLive?: boolean | undefined
  readonly onProgress?: Progress
}

export interface Restoration {
  readonly header: ArchiveHeader
  /** What was loaded. */
  readonly tables: readonly TableCount[]
  /** What was left out: whoever held it signs in again. */
  readonly ended: readonly TableCount[]
}

/**
 * Loads a file into an empty database, in one transaction. All of the file is read before anything is touched. What was
 * live then may have been spent or revoked since, and nobody remembers: unless it is kept, all of it is left out, and with
 * the signing keys every access token ends.
 *
 * @throws {ArchiveError} {LoadError} {MigrationError}
 */
export async function restoreArchive(options: RestoreOptions): Promise<Restoration> {
  const { path, source, masterKeys, random, onProgress = () => undefined } = options
  const { header, served, tables } = await verifyArchive({ path, source })
  const keys = await archiveKeys(header, source)
  const openers = source.from === 'passphrase' ? { find: () => keys.wrapping } : masterKeys
  const keepLive = options.keepLive ?? !served

  const records = recordsOf(path, keys.file)
  const first = await records.next()
  if (first.done || first.value.kind !== 'description') throw altered()
  const { description } = first.value
  const loads = (table: MovedTable): boolean => keepLive || !table.live
  try {
    await loadDatabase({ ...options, url: options.databaseUrl, description }, async (loading) => {
      for (const table of description.tables) await loadTable(loading, table, loads(table), records, onProgress)
      const { current } = masterKeys
      await loading.rewrap((key) => (key.masterKeyId === current.id ? key : rewrap(random, openers, current, key)))
    })
  } finally {
    await records.return(undefined)
  }
  const isLoaded = new Set(description.tables.filter(loads).map(({ name }) => name))
  return {
    header,
    tables: tables.filter(({ name }) => isLoaded.has(name)),
    ended: tables.filter(({ name }) => !isLoaded.has(name)),
  }
}

async function loadTable(
  loading: Loading,
  table: MovedTable,
  loads: boolean,
  records: AsyncGenerator<ArchiveRecord>,
  onProgress: Progress,
): Promise<void> {
  const begin = await records.next()
  if (begin.done || begin.value.kind !== 'table' || begin.value.name !== table.name) throw altered()
  let seen = 0
  let promised = -1
  async function* rows(): AsyncGenerator<Buffer> {
    for (;;) {
      const next = await records.next()
      if (next.done) throw altered()
      if (next.value.kind === 'table end') {
        promised = next.value.rows
        return
      }
      if (next.value.kind !== 'rows') throw altered()
      seen += countRows(next.value.data)
      if (loads) onProgress(table.name, seen)
      yield next.value.data
    }
  }
  if (loads) {
    const loaded = await loading.load(table, rows())
    if (loaded !== seen) throw altered()
  } else {
    for await (const _ of rows());
  }
  // It was so when all of it was read first: the file has changed under us.
  if (seen !== promised) throw altered()
}

export interface Verified {
  readonly header: ArchiveHeader
  readonly tables: readonly TableCount[]
  /** Servers were connected when it was made. */
  readonly served: boolean
}

/**
 * Reads all of a file: whether every record is there and as it was written, the rows are as many as it says, and this
 * release can take it.
 *
 * @throws {ArchiveError} {LoadError} {MigrationError}
 */
export async function verifyArchive(options: Pick<RestoreOptions, 'path' | 'source'>): Promise<Verified> {
  const { path, source } = options
  const header = await readHeader(path)
  const { file } = await archiveKeys(header, source)
  const tables: TableCount[] = []
  let description: Description | undefined
  let name: string | undefined
  let rows = 0
  for await (const record of recordsOf(path, file)) {
    if (record.kind === 'description') {
      description = record.description
      await checkDescription(description)
    } else if (record.kind === 'table') {
      name = record.name
      rows = 0
    } else if (record.kind === 'rows') {
      rows += countRows(record.data)
    } else if (record.kind === 'table end') {
      if (name === undefined || rows !== record.rows) throw altered()
      tables.push({ name, rows })
    } else if (record.tables !== tables.length || record.rows !== tables.reduce((sum, each) => sum + each.rows, 0)) {
      throw altered()
    }
  }
  if (!description) throw altered()
  return { header, tables, served: description.served }
}

/** Bytes. More than we put into one record. */
const longestRows = 67_108_864

async function* recordsOf(path: string, key: Buffer): AsyncGenerator<ArchiveRecord> {
  for await (const { type, payload, isLast } of readRecords(path, key)) {
    if ((type === 'end') !== isLast) throw altered()
    // What opens was written by us: its types are known.
    if (type === 'rows') yield { kind: type, data: await inflate(payload, { maxOutputLength: longestRows }) }
    else if (type === 'table') yield { kind: type, name: payload.toString() }
    else if (type === 'description') yield { kind: type, description: JSON.parse(payload.toString()) as Description }
    else if (type === 'table end') yield { kind: type, rows: JSON.parse(payload.toString()) as number }
    else yield { kind: type, ...(JSON.parse(payload.toString()) as { tables: number; rows: number }) }
  }
}
