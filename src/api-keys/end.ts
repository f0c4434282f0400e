import { actOf, newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { coverCommit, describeRevocation, type KeySet, type RevocationCause } from '../revocation/index.js'
import { type ApiKey, apiKeys, auditEvents, type Db, revocations } from '../store/index.js'
import { withinOwner } from './check.js'
import { type CreatedApiKey, drawSuccessors, firstInstant } from './create.js'
import { findApiKey } from './describe.js'
import { successorOf } from './rotate.js'

export interface EndedApiKeys {
  /** As they were, but for their end. */
  readonly ended: readonly ApiKey[]
  /** None where none were asked for, and of a key whose owner ended, or may do nothing any more, in no case. */
  readonly successors: readonly SuccessorApiKey[]
}

export interface SuccessorApiKey extends CreatedApiKey {
  /** The id of the one before. */
  readonly previous: string
}

export interface EndOptions {
  readonly cause: RevocationCause
  /** Hands out successors with the same rights. */
  readonly replace?: boolean
}

/**
 * Ends a key at once, everywhere.
 *
 * @returns nothing ended where it was over before
 * @throws {NotFoundError}
 */
export async function endApiKey(ctx: Context, id: string, options: EndOptions): Promise<EndedApiKeys> {
  await findApiKey(ctx, id)
  return endAll(ctx, { id }, options, (ended) => ended.map((key) => ({ ...key, kind: 'api_key' as const })))
}

/** Ends every key of an owner, of a prefix, or every one there is, by one entry of the revocation list. */
export async function endApiKeys(ctx: Context, set: KeySet, options: EndOptions): Promise<EndedApiKeys> {
  const filter = set.kind === 'owner' ? { owner: set.owner } : set.kind === 'prefix' ? { prefix: set.prefix } : {}
  // Also where none lives: somebody may remember one that has just expired.
  return endAll(ctx, filter, options, () => [{ kind: 'api_keys' as const, set }])
}

type Target = Parameters<typeof describeRevocation>[1]

async function endAll(
  ctx: Context,
  filter: Parameters<typeof apiKeys.endAll>[1],
  { cause, replace = false }: EndOptions,
  targetsOf: (ended: readonly ApiKey[]) => readonly Target[],
): Promise<EndedApiKeys> {
  const { ended, successors, made } = await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const now = ctx.clock.now()
    const ended = await apiKeys.endAll(tx, filter, { now, reason: cause.reason })
    const made = targetsOf(ended).map((target) => describeRevocation(ctx, target, cause))
    await revocations.createAll(tx, made)
    const successors = replace ? await replaceAll(ctx, tx, ended, cause) : []
    return { ended, successors, made }
  })
  await Promise.all(made.map((revocation) => coverCommit(ctx, revocation)))
  await ctx.revocations.refresh()
  return { ended, successors }
}

/** One event for all: each key names its successor. */
async function replaceAll(
  ctx: Context,
  tx: Db,
  ended: readonly ApiKey[],
  cause: RevocationCause,
): Promise<readonly SuccessorApiKey[]> {
  const replaced = await replaceable(tx, ended)
  if (replaced.length === 0) return []
  const createdAt = await firstInstant(ctx, tx, replaced)
  const successors = drawSuccessors(ctx, replaced.map(successorOf), createdAt)
  await apiKeys.createAll(
    tx,
    successors.map(({ row }) => row),
  )
  await apiKeys.nameSuccessors(
    tx,
    replaced.map(({ id }, index) => [id, successors[index]!.row.id] as const),
  )
  const detail = { keys: replaced.length }
  await auditEvents.create(
    tx,
    newEvent(ctx, { ...actOf(cause), type: 'api_keys.replaced', reason: cause.reason, detail }),
  )
  return successors.map(({ row, text }, index) => ({ key: row, text, previous: replaced[index]!.id }))
}

async function replaceable(tx: Db, ended: readonly ApiKey[]): Promise<readonly ApiKey[]> {
  const held = await apiKeys.findHeld(
    tx,
    ended.map(({ id }) => id),
  )
  return held.flatMap((each) => (each?.ownerStands ? [withinOwner(each)] : [])).filter(({ scope }) => scope.length > 0)
}
