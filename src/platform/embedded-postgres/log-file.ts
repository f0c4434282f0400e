import { openSync } from 'node:fs'
import { chown, open, rename, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import type { Home } from './home.js'

/** Bytes. PostgreSQL says little: that it started and stopped, and what it could not survive. */
const bound = 4 * 1024 * 1024

/** Where PostgreSQL's own messages go. */
export interface LogFile {
  /** A descriptor for a child; close it once the child has it. */
  openForAppending(): number
  size(): Promise<number>
  /** The last lines that were written after the file had that size, for an error message. */
  since(size: number): Promise<string>
  /** Ends the watch over its size. */
  close(): void
}

/** The log of a home. What a start finds past the bound is kept under another name; later it is cut. */
export async function openLogFile(home: Home): Promise<LogFile> {
  const path = join(home.folder, 'postgres.log')
  if ((await sizeOf(path)) > bound) await rename(path, `${path}.1`)
  const file = await open(path, 'a', 0o600)
  await file.close()
  // Root may start the database of another user, who is to be able to start it afterwards.
  const owner = await stat(home.folder)
  if (process.geteuid?.() === 0 && owner.uid !== 0) await chown(path, owner.uid, owner.gid)

  // All writers append, so a file that was cut goes on from its beginning.
  const watch = setInterval(async () => {
    if ((await sizeOf(path)) > bound) await truncate(path).catch(() => undefined)
  }, 60_000)
  watch.unref()

  return {
    openForAppending: () => openSync(path, 'a', 0o600),
    size: () => sizeOf(path),
    async since(size) {
      const reader = await open(path, 'r')
      try {
        const { buffer, bytesRead } = await reader.read(Buffer.alloc(16_384), 0, 16_384, size)
        const lines = buffer.toString('utf8', 0, bytesRead).trim().split('\n')
        return lines.slice(-4).join('\n')
      } finally {
        await reader.close()
      }
    },
    close: () => clearInterval(watch),
  }
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}
