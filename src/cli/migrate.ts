import { migrationStatus, migrationsFolder } from '../store/migrations.js'
import { defineCommand } from './command.js'
import { migrate, openInstallation, withDatabase } from './installation.js'

const migrateCommand = defineCommand({
  name: 'migrate',
  summary: 'Bring the database to what this release needs',
  description:
    'The embedded database is migrated by the server itself. Migrations suit the release before, which may keep running.',
  options: {
    status: { type: 'boolean', description: 'Only says what is applied and what is pending.' },
  },
  examples: ['ostiary migrate', 'ostiary migrate --status'],
  async run({ io, options }) {
    const installation = await openInstallation(io)
    try {
      return await withDatabase(installation, async (db) => {
        const applied = options.status ? [] : await migrate(installation, db)
        const status = await migrationStatus(db.pool, migrationsFolder)
        const warnings =
          status.newer.length > 0
            ? [`A newer release was here: the database has ${status.newer.join(', ')}, which this one does not know.`]
            : []
        if (options.status) {
          return {
            json: status,
            warnings,
            text: () =>
              [...status.applied.map((name) => `applied  ${name}`), ...status.pending.map((name) => `pending  ${name}`)]
                .map((line) => `${line}\n`)
                .join(''),
          }
        }
        return {
          json: { migrated: applied, ...status },
          warnings,
          text: () =>
            applied.length === 0
              ? 'The database is up to date.\n'
              : `Applied ${applied.length === 1 ? 'one migration' : `${applied.length} migrations`}:\n${applied.map((name) => `  ${name}\n`).join('')}`,
        }
      })
    } finally {
      await installation.close()
    }
  },
})

export const migrateCommands = [migrateCommand]
