import { type Static, Type } from '@sinclair/typebox'
import type { Source } from './variables.js'

export const databaseVariables = Type.Object({
  url: Type.Optional(
    Type.String({
      variable: 'DATABASE_URL',
      secret: true,
      description:
        'PostgreSQL 15 or newer, as postgresql://user:password@host:5432/database. Without it the server runs its own in DATA_DIR.',
    }),
  ),
  dataDir: Type.String({
    default: '.data',
    description:
      'Folder of the embedded database and of the generated master key. Back it up; nobody else may read it.',
  }),
  poolSize: Type.Integer({
    variable: 'DATABASE_POOL_SIZE',
    default: 10,
    minimum: 2,
    maximum: 200,
    description: 'Database connections per process. PROCESSES times this must stay below what PostgreSQL allows.',
  }),
})

export type DatabaseConfig = Static<typeof databaseVariables>

/** The value holds a password, so no message repeats any of it. */
export function checkDatabase(database: DatabaseConfig, source: Source): DatabaseConfig {
  const { url } = database
  if (url === undefined) return database
  if (!/^postgres(ql)?:$/.test(URL.canParse(url) ? new URL(url).protocol : '')) {
    source.refuse(
      'DATABASE_URL',
      'is not the address of a PostgreSQL database',
      'Write it as postgresql://user:password@host:5432/database, with special characters of the password percent-encoded.',
    )
  }
  return database
}
