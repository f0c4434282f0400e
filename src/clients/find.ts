import type { Context } from '../context.js'
import { NotFoundError } from '../platform/administration-errors.js'
import { type ClientWithSecrets, clients, type StoredClient } from '../store/index.js'

/** All clients, oldest first. */
export function listClients(ctx: Context): Promise<readonly StoredClient[]> {
  return clients.list(ctx.db)
}

/** One client as it is in the database, with its secrets' dates. @throws {NotFoundError} */
export async function findClient(ctx: Context, clientId: string): Promise<ClientWithSecrets> {
  const client = await clients.find(ctx.db, clientId)
  if (!client) throw isUnknown(clientId)
  return client
}

export function usesSecret({ tokenEndpointAuthMethod }: Pick<StoredClient, 'tokenEndpointAuthMethod'>): boolean {
  return tokenEndpointAuthMethod.startsWith('client_secret_')
}

/** Whether it is what a document says of it, and documents are switched off. */
export function isDocumentOff(
  { config }: Pick<Context, 'config'>,
  { documentHash }: Pick<StoredClient, 'documentHash'>,
): boolean {
  return documentHash !== undefined && !config.registration.documents
}

/** What the client is part of, where it is none by itself. */
export function ownerOf({ resourceServerOf, gateway }: ClientWithSecrets): { role: string; noun: string } | undefined {
  if (gateway !== undefined) return { role: `gateway ${gateway}`, noun: 'gateway' }
  return resourceServerOf === undefined
    ? undefined
    : { role: `resource server of ${resourceServerOf}`, noun: 'resource' }
}

/** What this process remembers of it; other processes were notified. */
export async function forget(ctx: Context, clientId: string): Promise<void> {
  ctx.clients.drop(clientId)
  await ctx.revocations.refresh()
}

export async function reread(ctx: Context, clientId: string): Promise<ClientWithSecrets> {
  await forget(ctx, clientId)
  return findClient(ctx, clientId)
}

export function isUnknown(clientId: string): NotFoundError {
  return new NotFoundError('client', `There is no client ${clientId}.`)
}
