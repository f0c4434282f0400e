import type { Context } from '../context.js'
import { NotFoundError } from '../platform/administration-errors.js'
import {
  commitRevocation,
  coverCommit,
  describeRevocation,
  type KeySet,
  type RevocationCause,
} from '../revocation/index.js'
import { type ApiKey, type ApiKeyEnd, apiKeyEnds, apiKeys, type Db, revocations } from '../store/index.js'
import { findApiKey } from './describe.js'
import { type Handed, type Replaced, type Replacing, replaceAll, replaceEnded } from './replace.js'

/** No successor where none were asked for, and in no case of a key whose own one lives, or whose owner ended or may do nothing any more. */
export interface EndedApiKeys extends Handed {
  /** As they were, but for their end. */
  readonly ended: readonly ApiKey[]
}

/** All of them have ended. Their rows, or their successors, may still be on the way. */
export interface EndedTogether extends EndedApiKeys {
  /** By which the rest is done: `continueEnd`. */
  readonly id: string
  /** Whether the rows of all of them say so: `ended` is of rows that do. */
  readonly isWritten: boolean
  readonly isComplete: boolean
}

export interface EndOptions {
  readonly cause: RevocationCause
  /** Hands out successors with the same rights. */
  readonly replace?: boolean
  /** Writes what belongs to the end of these keys, in its transaction. */
  readonly alongside?: (tx: Db, ended: readonly ApiKey[]) => Promise<unknown>
}

/**
 * Ends a key at once, everywhere.
 *
 * @returns nothing ended where it was over before
 * @throws {NotFoundError}
 */
export async function endApiKey(ctx: Context, id: string, options: EndOptions): Promise<EndedApiKeys> {
  await findApiKey(ctx, id)
  return endApiKeysById(ctx, [id], options)
}

/** The same of some by their ids, each by an entry of its own. What there is not, or is over, is left out. */
export async function endApiKeysById(
  ctx: Context,
  ids: readonly string[],
  { cause, replace = false, alongside }: EndOptions,
): Promise<EndedApiKeys> {
  const { ended, handed, made } = await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const ended = await apiKeys.endEach(tx, ids, { now: ctx.clock.now(), reason: cause.reason, replaces: replace })
    const made = ended.map((key) => describeRevocation(ctx, { ...key, kind: 'api_key' }, cause))
    await revocations.createAll(tx, made)
    const handed = replace ? await replaceAll(ctx, tx, ended, cause) : nothingHanded
    await alongside?.(tx, ended)
    return { ended, handed, made }
  })
  await Promise.all(made.map((revocation) => coverCommit(ctx, revocation)))
  await ctx.revocations.refresh()
  return { ended, ...handed }
}

/**
 * Ends every key of an owner, of a prefix, or every one there is, by one statement, however many they are: also where none
 * lives, since somebody may remember one that has just expired. What follows is done piece by piece, and no error of it is
 * thrown: that the keys have ended is true.
 */
export async function endApiKeys(ctx: Context, set: KeySet, options: EndOptions & Replacing): Promise<EndedTogether> {
  const ending = options.replace ? 'replace' : 'end'
  const revocation = describeRevocation(ctx, { kind: 'api_keys', set, ending }, options.cause)
  const { id } = revocation.event
  options.onBegin?.(id)
  await commitRevocation(ctx, revocation)
  await options.onEnd?.(id)
  const { ended, isWritten } = await writtenEnd(ctx, { id, target: revocation.target }, options.limit)
  const { isComplete, ...handed } = options.replace ? await replaceEnded(ctx, id, options) : nothingAwaited
  return { id, ended, ...handed, isWritten, isComplete: isWritten && isComplete }
}

async function writtenEnd(
  ctx: Context,
  end: Pick<ApiKeyEnd, 'id' | 'target'>,
  limit: number | undefined,
): Promise<{ readonly ended: readonly ApiKey[]; readonly isWritten: boolean }> {
  try {
    const isWritten = await writeEnd(ctx, end)
    return { ended: await listEnded(ctx, end.id, limit), isWritten }
  } catch (error) {
    ctx.log.warn({ err: error, end: end.id }, 'API keys have ended; the worker writes it into their rows')
    return { ended: [], isWritten: false }
  }
}

const nothingHanded: Handed = { successors: [], needKeyPair: [] }
const nothingAwaited: Replaced = { ...nothingHanded, isComplete: true }

/**
 * Goes on where an end of many was broken off: hands out the successors that are still awaited.
 *
 * @throws {NotFoundError} where nothing was ended by it
 */
export async function continueEnd(ctx: Context, id: string, options: Replacing): Promise<Replaced> {
  const end = (await apiKeyEnds.list(ctx.db)).find((each) => each.id === id)
  const isWritten = end ? await writeEnd(ctx, end) : true
  if (isWritten && (await apiKeys.listEndedBy(ctx.db, id, { limit: 1 })).length === 0) {
    throw new NotFoundError('api-key', `No API keys were ended by ${id}.`)
  }
  await options.onEnd?.(id)
  const { isComplete, ...handed } = await replaceEnded(ctx, id, options)
  return { ...handed, isComplete: isWritten && isComplete }
}

/** Writes into the rows of keys what ended them, wherever that was broken off. */
export async function writeEnds(ctx: Context): Promise<void> {
  for (const end of await apiKeyEnds.list(ctx.db)) await writeEnd(ctx, end)
}

/** Rows that somebody holds for a moment are come back to, so many milliseconds later. */
const passes = 5
const pause = 50

/** @returns whether all rows say it, so that nobody needs to look at the end itself any more */
async function writeEnd(ctx: Context, end: Pick<ApiKeyEnd, 'id' | 'target'>): Promise<boolean> {
  for (let pass = 0; pass < passes; pass++) {
    if (pass > 0) await ctx.clock.until(new Date(ctx.clock.now().getTime() + pause))
    let isComplete = true
    for (let after: string | undefined = ''; after !== undefined; ) {
      const swept = await apiKeyEnds.sweepSome(ctx.db, end, after)
      isComplete &&= swept.isComplete
      after = swept.next
    }
    if (!isComplete) continue
    await apiKeyEnds.remove(ctx.db, end)
    return true
  }
  return false
}

const pageSize = 1_000

async function listEnded(ctx: Context, id: string, most = Number.POSITIVE_INFINITY): Promise<readonly ApiKey[]> {
  const ended: ApiKey[] = []
  for (;;) {
    const limit = Math.min(pageSize, most - ended.length)
    const page = await apiKeys.listEndedBy(ctx.db, id, { after: ended.at(-1)?.id ?? '', limit })
    ended.push(...page)
    if (page.length < pageSize) return ended
  }
}
