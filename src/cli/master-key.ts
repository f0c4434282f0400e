import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { newEvent } from '../audit/index.js'
import { openMasterKeys } from '../open-context.js'
import { ConflictError } from '../platform/administration-errors.js'
import { rotateMasterKey } from '../secrets/index.js'
import { auditEvents } from '../store/index.js'
import { defineCommand } from './command.js'
import { operator } from './operator.js'

const rotate = defineCommand({
  name: 'master-key rotate',
  summary: 'Wrap all keys in the database under another master key',
  description:
    'A master key of the data directory is replaced; running servers find the new one there. For one of your own, first ' +
    'give every process the new one as MASTER_KEY and the old one as MASTER_KEY_PREVIOUS, each with _FILE where it is a ' +
    'file, and run this with the same two; afterwards the new one is enough. Servers run on meanwhile. It is one ' +
    'transaction: where it was interrupted, run it again. Only the old key opens backups of before.',
  examples: ['ostiary master-key rotate', 'ostiary master-key rotate --json'],
  async run({ context }) {
    const ctx = await context()
    const masterKeys = openMasterKeys(ctx.config, ctx.random)
    const rotation = await rotateMasterKey({
      db: ctx.db,
      masterKeys,
      random: ctx.random,
      onRotated: (tx, { from, to, keys }) =>
        auditEvents.create(
          tx,
          newEvent(ctx, { ...operator, type: 'master_key.rotated', detail: { from: [...from], to, keys } }),
        ),
    })
    if (!rotation) {
      throw new ConflictError(
        'Everything is wrapped under MASTER_KEY already. Give the new one as MASTER_KEY and this one as MASTER_KEY_PREVIOUS.',
      )
    }
    const kept = rotation.from
      .map((id) => join(ctx.config.database.dataDir, `master.key.old-${id}`))
      .filter((path) => existsSync(path))
    return {
      json: { from: rotation.from, to: rotation.to, keys: rotation.keys, kept },
      text: () =>
        `All keys are wrapped under the master key ${rotation.to} now; ${rotation.keys} were wrapped anew.\n` +
        (kept.length > 0
          ? `The old one lies in ${kept.join(', ')}. Only backups of before need it: delete it with the last of them.\n`
          : 'Servers need MASTER_KEY_PREVIOUS no more. Keep the old key as long as a backup of before.\n'),
    }
  },
})

export const masterKeyCommands = [rotate]
