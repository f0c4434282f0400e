import type { By } from '../audit/index.js'
import type { Context, Origin } from '../context.js'
import { notifyOwner } from '../notices/index.js'
import { type ApiKey, apiKeys } from '../store/index.js'
import { checkApiKey } from './check.js'
import { type FoundApiKey, findApiKeys } from './format.js'

/** Who saw a key where it must not be, and where. */
export interface Exposure {
  readonly by: By
  /** `address`: in the address of a request, which gets into logs and histories. */
  readonly where: 'address'
  /** The identifier of the API that saw it. */
  readonly api?: string | undefined
}

/**
 * Marks a key that lives as exposed and tells its owner, once. Whoever calls this has seen that the key is a good one: its id
 * alone is public.
 *
 * @returns the key to the first who reports it; undefined for one that is marked already, is over or does not exist
 */
export async function reportExposed(ctx: Context, id: string, exposure: Exposure): Promise<ApiKey | undefined> {
  const { by, where, api } = exposure
  return ctx.db.transaction(async (tx) => {
    const key = await apiKeys.expose(tx, id, ctx.clock.now())
    if (!key) return undefined
    const notice = {
      kind: 'exposed',
      owner: key.owner,
      subject: { kind: 'api_key', id: key.id },
      detail: { name: key.name, found_at: api, rotated: key.successor !== undefined || undefined },
      by,
      event: { type: 'api_key.exposed', reason: 'in_address', detail: { where, api } },
    } as const
    await notifyOwner(ctx, notice, tx)
    return key
  })
}

/** Looks at addresses for keys. It never fails: what they are refused with does not depend on it. */
export type ExposureWatch = (addresses: readonly string[], origin: Origin) => Promise<void>

/** Ids of keys that are known to be reported. */
const remembered = 10_000

/** Keys that are looked at, or wait for it. */
const mostWaiting = 8

/**
 * For addresses that came to this server. One is looked at at a time while a few wait, and of each the first key that can be
 * one: anybody may send them, and each costs a question to the database.
 */
export function createExposureWatch(ctx: Context): ExposureWatch {
  const reported = new Set<string>()
  // By the text: who knows an id alone must not keep the key itself from being looked at.
  const waiting = new Set<string>()
  let last: Promise<void> = Promise.resolve()

  async function look({ text, id }: FoundApiKey, origin: Origin): Promise<void> {
    try {
      if (reported.has(id)) return
      const key = await checkApiKey(ctx, text)
      if (typeof key === 'string') return
      await reportExposed(ctx, id, { by: { actor: 'system', origin }, where: 'address' })
      if (reported.size >= remembered) reported.clear()
      reported.add(id)
    } catch (error) {
      ctx.log.warn({ err: error }, 'an exposed API key could not be reported')
    } finally {
      waiting.delete(text)
    }
  }

  return (addresses, origin) => {
    const [found] = addresses.flatMap(findApiKeys)
    if (!found || reported.has(found.id) || waiting.has(found.text) || waiting.size >= mostWaiting) {
      return Promise.resolve()
    }
    waiting.add(found.text)
    last = last.then(() => look(found, origin))
    return last
  }
}
