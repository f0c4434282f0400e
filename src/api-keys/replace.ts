import { actOf, newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import type { RevocationCause } from '../revocation/index.js'
import { type ApiKey, apiKeys, auditEvents, type Db, revocations } from '../store/index.js'
import { withinOwner } from './check.js'
import { type CreatedApiKey, drawSuccessors, firstInstant } from './create.js'
import { successorOf } from './rotate.js'

export interface SuccessorApiKey extends CreatedApiKey {
  /** The id of the one before. */
  readonly previous: string
}

export interface Replacing {
  readonly cause: RevocationCause
  /** The most successors that are made, and keys that are named. Default: all. */
  readonly limit?: number | undefined
  /** Hears the id of the end before it is made: where nobody can say how that went, it is gone on with by this. */
  readonly onBegin?: ((endId: string) => void) | undefined
  /** Hears that all have ended, before any successor is made. */
  readonly onEnd?: ((endId: string) => unknown) | undefined
  /**
   * Hears of some as soon as they are committed: nobody else ever sees their texts. The next are made when its promise, if it
   * gives one, is kept.
   */
  readonly onSuccessors?: ((made: readonly SuccessorApiKey[]) => unknown) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Handed {
  readonly successors: readonly SuccessorApiKey[]
  /** Ids of signing keys: whoever has the private half of one that ended must not have its successor's, so there is none. */
  readonly needKeyPair: readonly string[]
}

export interface Replaced extends Handed {
  /** Whether nobody waits for one any more. */
  readonly isComplete: boolean
}

/** Keys of one transaction, in which every other revocation waits. */
const together = 100

/**
 * Hands out successors of the keys that one end of many ended, piece by piece. Each key gets one, however often this is begun
 * anew: what it awaits is taken back by the transaction that makes it. An error breaks it off and is not thrown: the texts of
 * those that were made are nowhere else.
 */
export async function replaceEnded(ctx: Context, endId: string, options: Replacing): Promise<Replaced> {
  const { limit = Number.POSITIVE_INFINITY, onSuccessors, signal } = options
  const successors: SuccessorApiKey[] = []
  const needKeyPair: string[] = []
  const soFar = (isComplete: boolean): Replaced => ({ successors, needKeyPair, isComplete })
  try {
    for (let after: string | undefined = ''; after !== undefined; ) {
      const most = Math.min(together, limit - successors.length)
      if (signal?.aborted || most === 0) return soFar(!(await isAwaited(ctx, endId)))
      const { handed, next } = await replaceSome(ctx, endId, { ...options, after, most })
      successors.push(...handed.successors)
      needKeyPair.push(...handed.needKeyPair)
      if (handed.successors.length > 0) await onSuccessors?.(handed.successors)
      after = next
    }
    return soFar(true)
  } catch (error) {
    ctx.log.warn({ err: error, end: endId }, 'successors of API keys that ended were broken off')
    return soFar(false)
  }
}

async function replaceSome(
  ctx: Context,
  endId: string,
  { cause, after, most }: Replacing & { readonly after: string; readonly most: number },
): Promise<{ readonly handed: Handed; readonly next: string | undefined }> {
  return ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const keys = await apiKeys.listEndedBy(tx, endId, { after, awaitsSuccessor: true, limit: most })
    const handed = await replaceAll(ctx, tx, keys, cause)
    return { handed, next: keys.length < most ? undefined : keys.at(-1)?.id }
  })
}

async function isAwaited(ctx: Context, endId: string): Promise<boolean> {
  return (await apiKeys.listEndedBy(ctx.db, endId, { awaitsSuccessor: true, limit: 1 })).length > 0
}

/** One event for all: each key names its successor. The caller holds the lock of revocations. */
export async function replaceAll(
  ctx: Context,
  tx: Db,
  ended: readonly ApiKey[],
  cause: RevocationCause,
): Promise<Handed> {
  if (ended.length === 0) return { successors: [], needKeyPair: [] }
  const due = await replaceable(tx, ended, ctx.clock.now())
  const replaced = due.filter(({ kind }) => kind !== 'signing')
  const needKeyPair = due.filter(({ kind }) => kind === 'signing').map(({ id }) => id)
  const successors = replaced.length === 0 ? [] : await drawAll(ctx, tx, replaced)
  const successorOf = new Map(successors.map(({ key, previous }) => [previous, key.id]))
  const named = await apiKeys.nameSuccessors(
    tx,
    ended.map(({ id }) => [id, successorOf.get(id)] as const),
  )
  if (named !== ended.length) throw new Error(`${ended.length - named} of the keys do not wait for a successor`)
  if (due.length === 0) return { successors, needKeyPair }
  const detail = { keys: successors.length, ...(needKeyPair.length > 0 ? { need_key_pair: needKeyPair } : {}) }
  const event = newEvent(ctx, { ...actOf(cause), type: 'api_keys.replaced', reason: cause.reason, detail })
  await auditEvents.create(tx, event)
  return { successors, needKeyPair }
}

async function drawAll(ctx: Context, tx: Db, replaced: readonly ApiKey[]): Promise<readonly SuccessorApiKey[]> {
  const descriptions = replaced.map(successorOf)
  const drawn = drawSuccessors(ctx, descriptions, await firstInstant(ctx, tx, descriptions))
  await apiKeys.createAll(
    tx,
    drawn.map(({ row }) => row),
  )
  return drawn.map(({ row, text }, index) => ({ key: row, text, previous: replaced[index]!.id }))
}

/**
 * None of a key whose owner ended, or may do nothing any more; nor of one whose successor lives, or ends with it: only the newest
 * of a chain is followed, so that a chain has one key that stays.
 */
async function replaceable(tx: Db, ended: readonly ApiKey[], now: Date): Promise<readonly ApiKey[]> {
  const held = await apiKeys.findHeld(
    tx,
    ended.map(({ id }) => id),
  )
  const rotated = ended.filter(({ successor }) => successor !== undefined).map(({ id }) => id)
  const followed = new Set(rotated.length === 0 ? [] : await apiKeys.listFollowed(tx, rotated, now))
  return held
    .flatMap((each) => (each?.ownerStands ? [withinOwner(each)] : []))
    .filter(({ id, scope }) => scope.length > 0 && !followed.has(id))
}
