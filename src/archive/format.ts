import { type FileHandle, open } from 'node:fs/promises'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { deriveKey } from '../platform/crypto/hash.js'
import { type MasterKey, masterKey } from '../platform/crypto/master-key.js'
import { dearestPassphrase, derivePassphraseKey, passphraseCost } from '../platform/crypto/passphrase.js'
import { createOpener, createSealer, type Sealing } from '../platform/crypto/sealed-records.js'
import type { Random } from '../platform/random.js'
import type { Description } from '../store/index.js'

/**
 * One line of JSON in plain, then records. Each is preceded by four bytes, its length and in the highest bit whether it is
 * the last, and sealed with its place, so that a file which was cut off, put together or altered is not read as a whole.
 */
const headerSchema = Type.Object({
  ostiary: Type.Literal('archive'),
  version: Type.Literal(1),
  kind: Type.Union([Type.Literal('backup'), Type.Literal('export')]),
  release: Type.String(),
  createdAt: Type.String({ maxLength: 40 }),
  /** Base64. The key of every file is another. */
  salt: Type.String({ minLength: 44, maxLength: 44 }),
  key: Type.Union([
    Type.Object({ from: Type.Literal('master key'), id: Type.String({ maxLength: 64 }) }),
    Type.Object({
      from: Type.Literal('passphrase'),
      memory: Type.Integer({ minimum: 8, maximum: dearestPassphrase.memory }),
      passes: Type.Integer({ minimum: 1, maximum: dearestPassphrase.passes }),
      lanes: Type.Integer({ minimum: 1, maximum: dearestPassphrase.lanes }),
    }),
  ]),
})

export type ArchiveHeader = Static<typeof headerSchema>
export type ArchiveKind = ArchiveHeader['kind']

/** Where the key of the file comes from: a backup is for who has the master key, an export for who has the passphrase. */
export type KeySource =
  | { readonly from: 'master key'; readonly find: (id: string) => MasterKey | undefined; readonly current: MasterKey }
  | { readonly from: 'passphrase'; readonly passphrase: string }

/** What is read one after another. */
export type ArchiveRecord =
  | { readonly kind: 'description'; readonly description: Description }
  | { readonly kind: 'table'; readonly name: string }
  /** Of the table before it, in PostgreSQL's text format; rows may be cut between two. */
  | { readonly kind: 'rows'; readonly data: Buffer }
  | { readonly kind: 'table end'; readonly rows: number }
  | { readonly kind: 'end'; readonly tables: number; readonly rows: number }

/** The file cannot be used. The message says why. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError'
}

interface ArchiveKeys {
  readonly file: Buffer
  /** Wraps the keys inside of an export. */
  readonly wrapping: MasterKey
}

export function newHeader(
  about: { readonly random: Random; readonly release: string; readonly now: Date },
  source: KeySource,
): ArchiveHeader {
  return {
    ostiary: 'archive',
    version: 1,
    kind: source.from === 'passphrase' ? 'export' : 'backup',
    release: about.release,
    createdAt: about.now.toISOString(),
    salt: about.random.bytes(32).toString('base64'),
    key:
      source.from === 'passphrase'
        ? { from: source.from, ...passphraseCost }
        : { from: source.from, id: source.current.id },
  }
}

/** @throws {ArchiveError} where this source has no key for the file */
export async function archiveKeys(header: ArchiveHeader, source: KeySource): Promise<ArchiveKeys> {
  const root = await rootKey(header, source)
  return {
    file: deriveKey(root, `ostiary archive ${header.salt}`),
    wrapping: masterKey(deriveKey(root, `ostiary archive keys ${header.salt}`)),
  }
}

async function rootKey({ key, salt }: ArchiveHeader, source: KeySource): Promise<Buffer> {
  if (key.from === 'passphrase') {
    if (source.from !== 'passphrase') throw new ArchiveError('It is an export: use `ostiary import`.')
    return derivePassphraseKey(source.passphrase, Buffer.from(salt, 'base64'), key)
  }
  if (source.from !== 'master key') throw new ArchiveError('It is a backup: use `ostiary restore`.')
  const found = source.find(key.id)
  if (found) return found.key
  throw new ArchiveError(
    `It was made under another master key (its id begins with ${key.id.slice(0, 8)}). Give that one by MASTER_KEY_PREVIOUS_FILE.`,
  )
}

const types = ['description', 'table', 'rows', 'table end', 'end'] as const
const lastBit = 0x80000000
/** Bytes. More than we write in one record. */
const longestRecord = 16_777_216
const longestHeader = 4096

/** @returns writes the next record. The one that is the end is the last. */
export async function writeHeader(
  file: FileHandle,
  header: ArchiveHeader,
  key: Buffer,
): Promise<(kind: ArchiveRecord['kind'], payload: Uint8Array) => Promise<number>> {
  const line = Buffer.from(`${JSON.stringify(header)}\n`)
  const seal = createSealer({ key, header: line })
  await file.writeFile(line)
  return async (kind, payload) => {
    const isLast = kind === 'end'
    const sealed = seal(Buffer.concat([Buffer.of(types.indexOf(kind)), payload]), isLast)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(sealed.length + (isLast ? lastBit : 0))
    await file.writeFile(Buffer.concat([length, sealed]))
    return length.length + sealed.length
  }
}

/** What a file says of itself: nothing of it is proved yet. @throws {ArchiveError} */
export async function readHeader(path: string): Promise<ArchiveHeader> {
  const file = await openToRead(path)
  try {
    return (await headerOf(file)).header
  } finally {
    await file.close()
  }
}

/** The records in their order, each opened. @throws {ArchiveError} where one is missing or not what was written */
export async function* readRecords(
  path: string,
  key: Buffer,
): AsyncGenerator<{ readonly type: ArchiveRecord['kind']; readonly payload: Buffer; readonly isLast: boolean }> {
  const file = await openToRead(path)
  try {
    const { line } = await headerOf(file)
    const open = createOpener({ key, header: line } satisfies Sealing)
    let position = line.length
    let isLast = false
    for (let number = 0; !isLast; number++) {
      const prefix = (await read(file, position, 4)).readUInt32BE()
      isLast = prefix >= lastBit
      const length = isLast ? prefix - lastBit : prefix
      if (length > longestRecord) throw altered()
      const sealed = await read(file, position + 4, length)
      const record = opened(() => open(sealed, isLast), number)
      const type = types[record[0] ?? -1]
      if (!type) throw altered()
      position += 4 + length
      yield { type, payload: record.subarray(1), isLast }
    }
    const { bytesRead } = await file.read(Buffer.alloc(1), 0, 1, position)
    if (bytesRead > 0) throw altered()
  } finally {
    await file.close()
  }
}

function opened(open: () => Buffer, number: number): Buffer {
  try {
    return open()
  } catch {
    throw number === 0
      ? new ArchiveError('It does not open: the passphrase or key is wrong, or its beginning was altered.')
      : altered()
  }
}

async function headerOf(file: FileHandle): Promise<{ readonly header: ArchiveHeader; readonly line: Buffer }> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(longestHeader), 0, longestHeader, 0)
  const end = buffer.subarray(0, bytesRead).indexOf('\n')
  if (end < 0) throw new ArchiveError('It is no file of Ostiary.')
  const line = buffer.subarray(0, end + 1)
  let value: unknown
  try {
    value = JSON.parse(line.toString('utf8'))
  } catch {
    throw new ArchiveError('It is no file of Ostiary.')
  }
  if (Value.Check(headerSchema, value)) return { header: value, line }
  const isOurs = typeof value === 'object' && value !== null && 'ostiary' in value && 'version' in value
  throw new ArchiveError(
    isOurs ? 'It has a form that this release does not know: use a newer one.' : 'It is no file of Ostiary.',
  )
}

async function openToRead(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new ArchiveError(`It cannot be read (${code}).`)
  }
}

async function read(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done)
    if (bytesRead === 0) throw new ArchiveError('It is not whole: its end is missing.')
    done += bytesRead
  }
  return buffer
}

export function altered(): ArchiveError {
  return new ArchiveError('It was altered or damaged since it was written.')
}
