import { actOf, type By, newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { ConflictError } from '../platform/administration-errors.js'
import { describeRevocation } from '../revocation/index.js'
import {
  apiKeys,
  auditEvents,
  clients,
  type Db,
  notify,
  revocations,
  type StoredClient,
  unusedClients,
} from '../store/index.js'
import { findClient, forget, isUnknown, ownerOf } from './find.js'

/**
 * Ends everything that was issued to the client, and issues nothing more until it is enabled.
 *
 * @returns false when it was disabled already
 * @throws {NotFoundError}
 */
export async function disableClient(ctx: Context, clientId: string, by: By): Promise<boolean> {
  const done = await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    // The row is held, so nobody changes whom it concerns until this is committed.
    const client = await clients.findForUpdate(tx, clientId)
    if (!client) throw isUnknown(clientId)
    if (client.disabledAt) return false
    const cause = { ...by, reason: 'client_disabled' }
    await revocations.create(tx, describeRevocation(ctx, { kind: 'client', clientId, lasting: 'disabled' }, cause))
    // It stays, so that it stays disabled: one that is gone could register, or be read, once more.
    await unusedClients.keep(tx, clientId)
    await notify(tx, { kind: 'client', id: clientId })
    return true
  })
  await forget(ctx, clientId)
  return done
}

/**
 * Lets a disabled client work again; what it had before stays ended.
 *
 * @returns false when it was not disabled: nothing of it is ended
 * @throws {NotFoundError}
 */
export async function enableClient(ctx: Context, clientId: string, by: By): Promise<boolean> {
  const done = await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const client = await clients.findForUpdate(tx, clientId)
    if (!client) throw isUnknown(clientId)
    if (!client.disabledAt) return false
    const event = newEvent(ctx, { ...actOf(by), type: 'client.enabled', clientId })
    await clients.enable(tx, clientId, event.time)
    await revocations.lift(tx, { kind: 'client', target: clientId, instant: event.time, event })
    await auditEvents.create(tx, event)
    return true
  })
  await forget(ctx, clientId)
  return done
}

/**
 * Deletes the client and ends everything that was issued to it. That of a resource server or gateway goes with it.
 *
 * @param require throws where it may not be deleted, as its row is at that moment
 * @param isUnused it never got a token
 * @throws {NotFoundError} {ConflictError}
 */
export async function deleteClient(
  ctx: Context,
  clientId: string,
  by: By,
  require: (stored: StoredClient, tx: Db) => void | Promise<void> = () => undefined,
  isUnused = false,
): Promise<void> {
  const owner = ownerOf(await findClient(ctx, clientId))
  if (owner !== undefined) {
    throw new ConflictError(`This client is the ${owner.role}: delete that ${owner.noun}, and the client goes with it.`)
  }
  await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const stored = await clients.findForUpdate(tx, clientId)
    if (!stored) throw isUnknown(clientId)
    await require(stored, tx)
    await endAndRemoveClient(ctx, tx, clientId, by, isUnused)
  })
  await forget(ctx, clientId)
}

/** The part of a deletion that happens inside the caller's transaction. */
export async function endAndRemoveClient(
  ctx: Context,
  tx: Db,
  clientId: string,
  by: By,
  isUnused = false,
): Promise<void> {
  const cause = { ...by, reason: 'client_deleted' }
  const revocation = describeRevocation(ctx, { kind: 'client', clientId, lasting: 'deleted' }, cause)
  const page = { limit: 1, now: ctx.clock.now() }
  const hasNothing =
    isUnused && (await apiKeys.page(tx, { owner: { kind: 'client', id: clientId } }, page)).length === 0
  // What never had a token is in nobody's memory: the list, which everybody reads, does not grow by strangers that come and go.
  if (hasNothing) await auditEvents.create(tx, revocation.event)
  else await revocations.create(tx, revocation)
  await clients.remove(tx, clientId)
}
