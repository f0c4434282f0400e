// A process that uses the embedded database, for tests that kill it. It says on stdout how that went, stops when it is
// told to on stdin, and ends when whoever started it has ended.

import { createInterface } from 'node:readline'
import { openEmbeddedPostgres } from '../../src/platform/embedded-postgres/index.js'

const [dataDir = '', holder = ''] = process.argv.slice(2)
const say = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`)
const log = { info: () => undefined, warn: () => undefined, error: () => undefined }

try {
  const postgres = await openEmbeddedPostgres({ dataDir, log, holder })
  say({ event: 'ready', url: postgres.url, folder: postgres.folder, startedHere: postgres.startedHere })
  for await (const line of createInterface({ input: process.stdin })) if (line === 'stop') break
  await postgres.stop()
  say({ event: 'stopped' })
} catch (error) {
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  say({ event: 'failed', name, message })
}
process.exit()
