import { deleteClient } from '../clients/index.js'
import type { Context } from '../context.js'
import { ConflictError, NotFoundError } from '../platform/administration-errors.js'
import { registrationTokens, type StoredClient, unusedClients } from '../store/index.js'

/** At once, and in one run: the rest waits for the next. */
const bounds = { batch: 100, batches: 10 }

/**
 * Of clients with a document: how many have all their time, and milliseconds that each has in any case. A stranger who describes
 * thousands must not keep out for a day whoever comes next; what was deleted is read again where it was.
 */
const crowded = { most: 5_000, least: 15 * 60_000, lifetime: 86_400_000 }

/** Milliseconds that a client is left beyond its time: for a code that is on its way. */
const grace = 60_000

/** Milliseconds that a token which is over is still shown to an administrator. */
const shown = 30 * 86_400_000

/** Deletes clients that registered themselves and never got a token, and tokens that are long over. Attack 93. */
export async function deleteUnusedClients(ctx: Context): Promise<void> {
  const now = ctx.clock.now().getTime()
  const before = new Date(now - grace)
  let deleted = 0
  for (let run = 0; run < bounds.batches; run++) {
    const found = await unusedClients.list(ctx.db, before, bounds.batch)
    for (const clientId of found) if (await deleteUnused(ctx, clientId, before)) deleted++
    if (found.length < bounds.batch) break
  }
  const newer = new Date(now + crowded.lifetime - crowded.least)
  for (const clientId of await unusedClients.listBeyond(ctx.db, crowded.most, newer, bounds.batch * bounds.batches)) {
    if (await deleteUnused(ctx, clientId, newer)) deleted++
  }
  if (deleted > 0) ctx.log.info({ deleted }, 'clients that registered themselves and were never used are deleted')
  await registrationTokens.removeExpired(ctx.db, new Date(now - shown))
}

/** @returns false where another worker did, or it got a token just now */
async function deleteUnused(ctx: Context, clientId: string, before: Date): Promise<boolean> {
  const requireUnused = ({ unusedUntil }: StoredClient): void => {
    if (!unusedUntil || unusedUntil > before) throw new ConflictError('The client was used meanwhile.')
  }
  try {
    await deleteClient(ctx, clientId, { actor: 'system' }, requireUnused, true)
    return true
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof ConflictError) return false
    throw error
  }
}
