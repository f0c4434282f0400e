import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import {
  ArchiveError,
  type KeySource,
  type Progress,
  type Restoration,
  restoreArchive,
  saveArchive,
  type TableCount,
  verifyArchive,
} from '../archive/index.js'
import { newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { openContext, openMasterKeys } from '../open-context.js'
import { systemClock } from '../platform/clock.js'
import { monotonicMilliseconds } from '../platform/monotonic.js'
import { systemRandom } from '../platform/random.js'
import { auditEvents, LoadError } from '../store/index.js'
import { type Answer, type CommandIo, defineCommand, UsageError } from './command.js'
import { version } from './help.js'
import { InputError } from './input.js'
import { migrate, openInstallation, openMigratedContext, withDatabase } from './installation.js'
import { operator } from './operator.js'
import { table } from './output.js'
import { passphraseOptions, readPassphrase } from './passphrase.js'

const overwrite = { type: 'boolean', description: 'Replaces the file where it is there already.' } as const
const replace = { type: 'boolean', description: 'Deletes everything that the database holds, first.' } as const
const check = { type: 'boolean', description: 'Only reads the whole file, and says whether it can be used.' } as const
const keepSessions = {
  type: 'boolean',
  description: 'Sessions, grants, tokens and signing keys too. Only where no server ran since the file was made.',
} as const

const backup = defineCommand({
  name: 'backup',
  words: ['FILE'],
  summary: 'Write the whole database into a file, sealed under the master key',
  description:
    'It is the database of one moment, read while servers run. The file is of use only to who has the master key, which ' +
    'is not in it: keep the two apart.',
  options: { overwrite },
  examples: ['ostiary backup ostiary-2026-03-01.backup', 'ostiary backup --overwrite latest.backup --json'],
  async run({ io, options, words, json }) {
    return save(io, words[0] ?? '', options.overwrite === true, json, async (ctx) => ({
      from: 'master key',
      ...openMasterKeys(ctx.config, ctx.random),
    }))
  },
})

const exportCommand = defineCommand({
  name: 'export',
  words: ['FILE'],
  summary: 'Write the whole database into a file for another installation, sealed by a passphrase',
  description:
    'To move to another database stop the servers first, `ostiary import` the file there, and start them on that one ' +
    'alone. The target has a master key of its own, under which the keys in the file are wrapped anew.',
  options: { ...passphraseOptions, overwrite },
  examples: ['ostiary export ostiary.export', 'ostiary export ostiary.export --passphrase-file passphrase.txt'],
  async run({ io, options, words, json }) {
    checkAbsent(io, words[0] ?? '', options.overwrite === true)
    const passphrase = await readPassphrase(io, options, true)
    return save(io, words[0] ?? '', options.overwrite === true, json, async () => ({ from: 'passphrase', passphrase }))
  },
})

const restore = defineCommand({
  name: 'restore',
  words: ['FILE'],
  summary: 'Load a backup into an empty database',
  description:
    'The whole file is checked first, and loaded in one transaction. Stop all servers before. A backup remembers nothing ' +
    'of what was spent or revoked after it: so sessions, grants, tokens and signing keys are left out, everybody signs in ' +
    'again, and no access token of before is accepted. It takes backups of this release and of older ones.',
  options: { 'keep-sessions': keepSessions, replace, check },
  examples: ['ostiary restore ostiary-2026-03-01.backup', 'ostiary restore latest.backup --check'],
  async run({ io, options, words, json }) {
    const keepLive = options['keep-sessions'] === true
    return load(io, words[0] ?? '', { ...options, keepLive, json }, undefined)
  },
})

const importCommand = defineCommand({
  name: 'import',
  words: ['FILE'],
  summary: 'Load an export into an empty database',
  description:
    'As `ostiary restore`, from the file of `ostiary export`. Where servers ran while that was written, what was live is ' +
    'left out as there; where they were stopped, everything goes on here.',
  options: {
    ...passphraseOptions,
    'keep-sessions': keepSessions,
    'end-sessions': { type: 'boolean', description: 'Leaves sessions, grants, tokens and signing keys out.' },
    replace,
    check,
  },
  examples: ['ostiary import ostiary.export', 'ostiary import ostiary.export --passphrase-stdin < passphrase.txt'],
  async run({ io, options, words, json }) {
    const { 'keep-sessions': keep, 'end-sessions': end } = options
    if (keep && end) throw new UsageError('Give one of --keep-sessions and --end-sessions, not both.')
    const keepLive = keep ? true : end ? false : undefined
    const passphrase = await readPassphrase(io, options, false)
    return load(io, words[0] ?? '', { ...options, keepLive, json }, passphrase)
  },
})

export const archiveCommands = [backup, restore, exportCommand, importCommand]

async function save(
  io: CommandIo,
  name: string,
  mayReplace: boolean,
  json: boolean,
  sourceOf: (ctx: Context) => Promise<KeySource>,
): Promise<Answer> {
  const path = checkAbsent(io, name, mayReplace)
  const began = monotonicMilliseconds()
  const installation = await openInstallation(io)
  try {
    const ctx = await openMigratedContext(installation)
    try {
      const source = await sourceOf(ctx)
      const saved = await saveArchive({
        databaseUrl: installation.databaseUrl,
        path,
        source,
        masterKeys: openMasterKeys(ctx.config, ctx.random),
        release: version(),
        random: ctx.random,
        now: ctx.clock.now(),
        ...progressOf(io, json),
      })
      const type = saved.header.kind === 'export' ? 'database.exported' : 'database.backed_up'
      await auditEvents.create(ctx.db, newEvent(ctx, { ...operator, type, detail: { bytes: saved.bytes } }))
      const seconds = secondsSince(began)
      return {
        json: { file: path, kind: saved.header.kind, bytes: saved.bytes, seconds, rows: rowsOf(saved.tables) },
        // To move, what the servers do from now on would be lost there, and a token that is spent here live.
        warnings:
          saved.served && saved.header.kind === 'export'
            ? ['Servers run on this database. What is imported from this file has no sessions, grants or tokens in it.']
            : [],
        text: (width) =>
          `${tableOf(saved.tables, width)}\n${name}: ${sum(saved.tables)} rows, ${saved.bytes} bytes, ${seconds} s.\n`,
      }
    } finally {
      await ctx.close()
    }
  } catch (error) {
    throw explained(error, name)
  } finally {
    await installation.close()
  }
}

interface LoadCommand {
  readonly replace?: boolean
  readonly check?: boolean
  readonly keepLive: boolean | undefined
  readonly json: boolean
}

/** @param passphrase of an export; undefined for a backup */
async function load(
  io: CommandIo,
  name: string,
  options: LoadCommand,
  passphrase: string | undefined,
): Promise<Answer> {
  const path = pathOf(io, name)
  const began = monotonicMilliseconds()
  const installation = await openInstallation(io)
  const { config, log, databaseUrl } = installation
  try {
    const masterKeys = openMasterKeys(config, systemRandom)
    const source: KeySource =
      passphrase === undefined ? { from: 'master key', ...masterKeys } : { from: 'passphrase', passphrase }
    if (options.check) return checkedAnswer(name, await verifyArchive({ path, source }), began)

    const restored = await restoreArchive({
      databaseUrl,
      path,
      source,
      masterKeys,
      random: systemRandom,
      now: systemClock.now(),
      replace: options.replace === true,
      keepLive: options.keepLive,
      ...progressOf(io, options.json),
    })
    await withDatabase(installation, (db) => migrate(installation, db))
    // Opens every key that was loaded, and makes the signing keys that were not.
    const ctx = await openContext({ config, log, databaseUrl })
    try {
      const { kind, createdAt } = restored.header
      const type = kind === 'export' ? 'database.imported' : 'database.restored'
      const detail = { of: createdAt, ended: restored.ended.length > 0 }
      await auditEvents.create(ctx.db, newEvent(ctx, { ...operator, type, detail }))
    } finally {
      await ctx.close()
    }
    return loadedAnswer(restored, began)
  } catch (error) {
    throw explained(error, name)
  } finally {
    await installation.close()
  }
}

function checkedAnswer(name: string, verified: Awaited<ReturnType<typeof verifyArchive>>, began: number): Answer {
  const { header, tables } = verified
  const seconds = secondsSince(began)
  return {
    json: {
      file: name,
      kind: header.kind,
      created_at: header.createdAt,
      release: header.release,
      rows: rowsOf(tables),
    },
    text: (width) =>
      `${tableOf(tables, width)}\n${name} is whole: ${sum(tables)} rows of ${header.createdAt}, read in ${seconds} s.\n`,
  }
}

function loadedAnswer({ header, tables, ended }: Restoration, began: number): Answer {
  const seconds = secondsSince(began)
  const isMove = header.kind === 'export' && ended.length === 0
  return {
    json: { kind: header.kind, created_at: header.createdAt, seconds, rows: rowsOf(tables), ended: rowsOf(ended) },
    warnings: [
      isMove
        ? 'Start no server on the old database again: a token that is spent there would be live here.'
        : `What was changed after ${header.createdAt} is as it was before: passwords, client secrets, roles, and whoever was disabled.`,
      ...(ended.length === 0 && !isMove
        ? [
            'Tokens that were spent or revoked after it are live again. `ostiary revoke` ends what a client or user has.',
          ]
        : []),
    ],
    text: (width) =>
      `${tableOf(tables, width)}\nLoaded ${sum(tables)} rows of ${header.createdAt} in ${seconds} s.\n` +
      (ended.length > 0
        ? `Left out ${sum(ended)} rows of sessions, grants, tokens and signing keys: everybody signs in again.\n`
        : ''),
  }
}

function tableOf(tables: readonly TableCount[], width: number): string {
  return table(
    tables,
    [
      { title: 'TABLE', value: ({ name }) => name },
      { title: 'ROWS', value: ({ rows }) => String(rows) },
    ],
    width,
  )
}

const rowsOf = (tables: readonly TableCount[]) => Object.fromEntries(tables.map(({ name, rows }) => [name, rows]))
const sum = (tables: readonly TableCount[]): number => tables.reduce((total, { rows }) => total + rows, 0)
const secondsSince = (began: number): number => Math.round((monotonicMilliseconds() - began) / 100) / 10

/** Milliseconds between lines for a person. */
const progressInterval = 2_000

function progressOf(io: CommandIo, json: boolean): { readonly onProgress?: Progress } {
  if (json || !io.stdout.isTTY) return {}
  let last = monotonicMilliseconds()
  return {
    onProgress(name, rows) {
      if (monotonicMilliseconds() - last < progressInterval) return
      last = monotonicMilliseconds()
      io.stderr.write(`${name}: ${rows} rows\n`)
    },
  }
}

function pathOf(io: CommandIo, name: string): string {
  if (name === '') throw new UsageError('FILE is empty.')
  return resolve(io.folder ?? process.cwd(), name)
}

/** Before anything is opened or asked. */
function checkAbsent(io: CommandIo, name: string, mayReplace: boolean): string {
  const path = pathOf(io, name)
  if (existsSync(path) && !mayReplace) throw new InputError(`${name} is there already. --overwrite replaces it.`)
  return path
}

/** Says of which file. */
function explained(error: unknown, name: string): unknown {
  if (error instanceof ArchiveError || error instanceof LoadError) {
    return new InputError(`${name} was not used, and nothing was changed. ${error.message}`, { cause: error })
  }
  if (error instanceof Error && 'syscall' in error && 'code' in error && 'path' in error) {
    return new InputError(`${name} cannot be written (${String(error.code)}).`, { cause: error })
  }
  return error
}
