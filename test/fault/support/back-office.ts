import type { Context } from '../../../src/context.js'
import { openContext } from '../../../src/open-context.js'
import { loadConfig } from '../../../src/platform/config/index.js'
import { openEmbeddedPostgres } from '../../../src/platform/embedded-postgres/index.js'
import { createLogger } from '../../../src/platform/log.js'
import { withClient } from '../../support/test-postgres.js'
import type { Installation } from './installation.js'

export interface BackOffice {
  readonly ctx: Context
  readonly sql: (text: string, values?: readonly unknown[]) => Promise<readonly Record<string, unknown>[]>
}

/** What an operator has beside the running processes: their database, as a command opens it, for as long as the work takes. */
export async function inBackOffice<Result>(
  { databaseUrl, env, dataDir }: Pick<Installation, 'databaseUrl' | 'env' | 'dataDir'>,
  work: (office: BackOffice) => Promise<Result>,
): Promise<Result> {
  const log = createLogger({ level: 'error', pretty: false, destination: { write: () => undefined } })
  const embedded = dataDir === undefined ? undefined : await openEmbeddedPostgres({ dataDir, log, holder: 'command' })
  try {
    const url = embedded?.url ?? databaseUrl
    const { config } = loadConfig({ env: { ...env, DATABASE_URL: url } })
    const ctx = await openContext({ config, log, databaseUrl: url })
    try {
      return await work({
        ctx,
        sql: (text, values = []) => withClient(url, async (client) => (await client.query(text, [...values])).rows),
      })
    } finally {
      await ctx.close()
    }
  } finally {
    await embedded?.stop()
  }
}
