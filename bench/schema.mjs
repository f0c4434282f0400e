// A database with the server's tables and the partitions of now, before anything lies in it.

import { loadConfig } from '../dist/platform/config/index.js'
import { openDatabase, partitions } from '../dist/store/index.js'
import { migrateDatabase } from '../dist/store/migrations.js'

export async function makeSchema(url, now) {
  await migrateDatabase(url, now)
  const { config } = loadConfig({ env: { DATABASE_URL: url, MASTER_KEY: Buffer.alloc(32).toString('base64') } })
  const db = openDatabase({ url, poolSize: 2 })
  try {
    await partitions.ensurePartitions(db.pool, await partitions.horizonOf(db, config), now)
  } finally {
    await db.close()
  }
}
