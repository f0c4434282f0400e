import { setTimeout as delay } from 'node:timers/promises'
import { changeApiKey, createApiKey, rotateApiKey } from '../../../src/api-keys/index.js'
import type { Context } from '../../../src/context.js'
import { ConflictError } from '../../../src/platform/administration-errors.js'
import type { ApiKeyOwner } from '../../../src/store/index.js'
import type { Chance } from './chance.js'
import { type HeldKey, newKey } from './keys-in-use.js'

/** A key that came into being. Times are monotonic milliseconds. */
export interface MadeKey {
  readonly how: 'created' | 'rotated'
  readonly key: HeldKey
  readonly begun: number
  readonly answered: number
}

export interface KeyChanges {
  readonly made: readonly MadeKey[]
  /** Names that were changed, and what was refused because the key was over. */
  readonly counts: { changed: number; over: number }
  readonly stop: () => Promise<void>
}

const by = { actor: 'operator' }

/** Creates, rotates and changes until it is stopped, two at a time. @param keys of which each is rotated once at most */
export function startKeyChanges(
  ctx: Context,
  { owner, keys, luck }: { readonly owner: ApiKeyOwner; readonly keys: readonly HeldKey[]; readonly luck: Chance },
): KeyChanges {
  const made: MadeKey[] = []
  const counts = { changed: 0, over: 0 }
  const waiting = [...keys]
  let stopped = false

  const keep = async (how: MadeKey['how'], make: () => ReturnType<typeof createApiKey>): Promise<void> => {
    const begun = performance.now()
    const { key, text = '' } = await make()
    made.push({ how, key: newKey(key.id, text), begun, answered: performance.now() })
  }
  const act = async (): Promise<void> => {
    const [id, drawn] = [luck.oneOf(keys).id, luck.number()]
    if (drawn < 0.3) return keep('created', () => createApiKey(ctx, { owner, name: 'New', scope: ['read'] }, by))
    const next = drawn < 0.6 ? waiting.pop() : undefined
    if (next) return keep('rotated', () => rotateApiKey(ctx, next.id, { by }))
    await changeApiKey(ctx, id, { request: { name: `Name ${luck.between(1, 1_000)}` }, by })
    counts.changed++
  }
  const one = async (): Promise<void> => {
    while (!stopped) {
      try {
        await act()
      } catch (error) {
        // What the database put off was not done, or is a key that nobody has heard of.
        if (error instanceof ConflictError) counts.over++
      }
      await delay(5)
    }
  }
  const running = Promise.all([one(), one()])
  return {
    made,
    counts,
    async stop() {
      stopped = true
      await running
    },
  }
}
