// The databases of a run: an embedded PostgreSQL each, in a folder that goes away with it.

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { openEmbeddedPostgres } from '../dist/platform/embedded-postgres/index.js'
import { onCores, onEnd, otherCore, parentOf, processTree } from './machine.mjs'

export function makeFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'ostiary-bench-'))
  // As root PostgreSQL runs under an account that must pass this folder; what is in it stays private.
  if (process.geteuid?.() === 0) chmodSync(folder, 0o711)
  onEnd(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/**
 * @param settings of PostgreSQL, over the server's own
 * @returns `url`, its `version`, `tree()` (the ids of its processes) and `stop()`
 */
export async function openPostgres({ folder = makeFolder(), settings, cores = otherCore } = {}) {
  const dataDir = join(folder, 'data')
  const log = { info: () => undefined, warn: console.warn, error: console.error }
  const opening = onCores(cores, () => openEmbeddedPostgres({ dataDir, log, holder: 'server', settings }))
  // Also where it opens while we are told to stop.
  onEnd(async () => (await opening).stop())
  const { url, stop } = await opening
  return { url, stop, ...(await describe(url)), folder }
}

/** Of whichever PostgreSQL this is, if it runs on this machine. */
export async function describe(url) {
  const [{ version, pid }] = await query(
    url,
    "SELECT current_setting('server_version') AS version, pg_backend_pid() AS pid",
    {
      // Its parent is the one that started all others.
      read: (rows) => [{ ...rows[0], pid: parentOf(rows[0].pid) }],
    },
  )
  return { version, tree: () => processTree(pid) }
}

export async function query(url, text, { values, read = (rows) => rows } = {}) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return read((await client.query(text, values)).rows)
  } finally {
    await client.end()
  }
}
