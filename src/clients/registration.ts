import { actOf, type By, newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { InvalidClientMetadataError } from '../oauth/index.js'
import { ConflictError, InvalidValueError, NotFoundError } from '../platform/administration-errors.js'
import { coverCommit, describeRevocation } from '../revocation/index.js'
import {
  auditEvents,
  type ClientSecret,
  type ClientWithSecrets,
  clients,
  type Db,
  isUniqueViolation,
  notify,
  partitions,
  revocations,
  type StoredClient,
  tiers,
  users,
} from '../store/index.js'
import { authenticationMethods } from './authentication/index.js'
import { spansOneResource } from './default-scope.js'
import {
  type ClientMetadata,
  formatClientMetadata,
  mergeClientMetadata,
  readClientMetadata,
  type SupportedMetadata,
} from './metadata.js'
import { narrowKeys } from './narrowing.js'
import { generateSecret, hashSecret, strongSecretLength } from './secrets.js'

export interface RegistrationOptions {
  readonly by: By
  /** What clients may register, from the list of the token endpoint. */
  readonly grantTypes: readonly string[]
}

/** What an administrator gets back. The secret is in no other place: it is shown now or never. */
export interface RegisteredClient {
  readonly client: ClientWithSecrets
  /** Only where one was made or brought just now. */
  readonly clientSecret?: string | undefined
}

/**
 * Registers a client by metadata in the names of RFC 7591 §2 and ours. A `client_id` and a `client_secret` that are
 * brought along are kept.
 *
 * @param allowWeakSecret accepts a brought secret of fewer than 32 characters, and keeps it under argon2id
 * @throws {InvalidClientMetadataError} {InvalidRedirectUriError}
 * @throws {ConflictError} when the `client_id` is taken, or is a user's id
 */
export async function registerClient(
  ctx: Context,
  metadata: unknown,
  options: RegistrationOptions & { readonly allowWeakSecret?: boolean },
): Promise<RegisteredClient> {
  const read = readClientMetadata(metadata, supported(options))
  if (read.clientSecret !== undefined && read.clientSecret.length < strongSecretLength && !options.allowWeakSecret) {
    throw new InvalidClientMetadataError(
      `client_secret is shorter than ${strongSecretLength} characters: bring a longer one, or leave it out and one is made.`,
      { reason: 'client_secret_weak' },
    )
  }
  return createClient(ctx, read, options.by)
}

/** The same for metadata that was read already: of a resource server, say. */
export async function createClient(
  ctx: Context,
  { clientSecret: brought, ...metadata }: ClientMetadata,
  by: By,
  more: (tx: Db, client: StoredClient) => Promise<void> = async () => undefined,
): Promise<RegisteredClient> {
  const clientId = metadata.clientId ?? ctx.random.uuid()
  await checkScopes(ctx, metadata)
  await checkTier(ctx, metadata)
  await ensureReach(ctx, metadata)
  const clientSecret = brought ?? (usesSecret(metadata) ? generateSecret(ctx) : undefined)
  const secret: ClientSecret | undefined = clientSecret === undefined ? undefined : await hashSecret(ctx, clientSecret)

  const now = ctx.clock.now()
  const client: StoredClient = {
    ...metadata,
    clientId,
    // A name may have been another's, deleted since: what users granted that one is not this one's.
    notBefore: metadata.clientId === undefined ? undefined : new Date(now.getTime() - 1),
    createdAt: now,
    updatedAt: now,
  }
  const event = newEvent(ctx, { ...actOf(by), type: 'client.created', clientId })
  try {
    await ctx.db.transaction(async (tx) => {
      if (metadata.clientId !== undefined) {
        // A client that calls itself like a user could pass for that user where `sub` is compared (RFC 9700 §4.15).
        if (isUuid(clientId) && (await users.findById(tx, clientId.toLowerCase()))) throw isUsersId(clientId)
        const instant = new Date(now.getTime() - 1)
        await revocations.lift(tx, { kind: 'client', target: clientId, instant, event })
      }
      await clients.create(tx, client, secret)
      await more(tx, client)
      await auditEvents.create(tx, event)
    })
  } catch (error) {
    if (isUniqueViolation(error)) throw isTaken(clientId)
    throw error
  }
  return { client: await reread(ctx, clientId), clientSecret }
}

/**
 * Changes what the patch names; `null` removes a field, so that its default holds again. A client that comes to need a
 * secret gets one; one that no longer needs any loses them.
 *
 * @throws {NotFoundError} {ConflictError} {InvalidClientMetadataError} {InvalidRedirectUriError}
 */
export async function updateClient(
  ctx: Context,
  clientId: string,
  patch: unknown,
  options: RegistrationOptions,
): Promise<RegisteredClient> {
  const { by } = options
  const before = await findClient(ctx, clientId)
  const owner = ownerOf(before)
  const read = (stored: StoredClient): ClientMetadata => mergeClientMetadata(stored, patch, supported(options))
  const metadata = read(before)
  if (owner !== undefined && !usesSecret(metadata)) {
    throw new ConflictError(`This client is the ${owner.role}: it must prove itself by a secret.`)
  }
  await checkScopes(ctx, metadata)
  await checkTier(ctx, metadata)
  await ensureReach(ctx, metadata)
  const now = ctx.clock.now()
  const clientSecret = usesSecret(metadata) && before.secrets.length === 0 ? generateSecret(ctx) : undefined
  const secret = clientSecret === undefined ? undefined : await hashSecret(ctx, clientSecret)

  const narrowed = await ctx.db.transaction(async (tx) => {
    // Whoever revokes takes this first.
    await revocations.lock(tx)
    const stored = await clients.findForUpdate(tx, clientId)
    if (!stored) throw isUnknown(clientId)
    const { clientSecret: _, ...changed } = read(stored)
    await clients.update(tx, { ...stored, ...changed, clientId, updatedAt: now })
    if (secret) await clients.addSecret(tx, clientId, secret, now)
    if (!usesSecret(changed)) await clients.removeSecrets(tx, clientId)
    const detail = { changed: changedNames(stored, changed) }
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'client.updated', clientId, detail }))
    return narrowKeys(ctx, tx, { clientId, before: stored, after: changed, by })
  })
  if (narrowed) await coverCommit(ctx, narrowed)
  return { client: await reread(ctx, clientId), clientSecret }
}

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
 * @throws {NotFoundError} {ConflictError}
 */
export async function deleteClient(ctx: Context, clientId: string, by: By): Promise<void> {
  const owner = ownerOf(await findClient(ctx, clientId))
  if (owner !== undefined) {
    throw new ConflictError(`This client is the ${owner.role}: delete that ${owner.noun}, and the client goes with it.`)
  }
  await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    if (!(await clients.findForUpdate(tx, clientId))) throw isUnknown(clientId)
    await endAndRemoveClient(ctx, tx, clientId, by)
  })
  await forget(ctx, clientId)
}

/** The part of a deletion that happens inside the caller's transaction. */
export async function endAndRemoveClient(ctx: Context, tx: Db, clientId: string, by: By): Promise<void> {
  const cause = { ...by, reason: 'client_deleted' }
  await revocations.create(tx, describeRevocation(ctx, { kind: 'client', clientId, lasting: 'deleted' }, cause))
  await clients.remove(tx, clientId)
}

/** Seconds that the old secret stays valid where nobody said otherwise: a day, to bring out the new one. */
export const defaultSecretOverlap = 86_400
const longestSecretOverlap = 30 * 86_400

/**
 * Makes a new secret. The one before it stays valid for the overlap; an older one ends at once, so that never more than
 * two are live.
 *
 * @param overlap seconds from 0 (the old one ends at once) to 30 days
 * @throws {NotFoundError} {ConflictError} for a client without a secret; {InvalidValueError}
 */
export async function rotateSecret(
  ctx: Context,
  clientId: string,
  { overlap = defaultSecretOverlap, by }: { readonly overlap?: number; readonly by: By },
): Promise<RegisteredClient & { readonly clientSecret: string }> {
  if (!Number.isInteger(overlap) || overlap < 0 || overlap > longestSecretOverlap) {
    throw new InvalidValueError(`The overlap is a whole number of seconds from 0 to ${longestSecretOverlap}.`)
  }
  const clientSecret = generateSecret(ctx)
  const secret = await hashSecret(ctx, clientSecret)
  await ctx.db.transaction(async (tx) => {
    const client = await clients.findForUpdate(tx, clientId)
    if (!client) throw isUnknown(clientId)
    if (!usesSecret(client)) {
      throw new ConflictError(`The client ${clientId} has no secret: its method is ${client.tokenEndpointAuthMethod}.`)
    }
    await clients.addSecret(tx, clientId, secret, new Date(secret.createdAt.getTime() + overlap * 1000))
    const event = { ...actOf(by), type: 'client.secret_rotated', clientId, detail: { overlap } }
    await auditEvents.create(tx, newEvent(ctx, event))
  })
  return { client: await reread(ctx, clientId), clientSecret }
}

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

/** The answer to a registration. RFC 7591 §3.2.1. The secret is in it only where it is given. */
export function toRegistration(client: StoredClient, clientSecret?: string): Record<string, unknown> {
  const { client_id, ...metadata } = formatClientMetadata(client)
  return {
    client_id,
    ...(clientSecret === undefined ? {} : { client_secret: clientSecret }),
    client_id_issued_at: Math.floor(client.createdAt.getTime() / 1000),
    // 0: the secret in use does not expire by itself.
    ...(usesSecret(client) ? { client_secret_expires_at: 0 } : {}),
    ...metadata,
  }
}

/** What an administrator sees of a client: its registration, and its state. */
export function describeClient(client: ClientWithSecrets, now: Date, clientSecret?: string): Record<string, unknown> {
  const time = (date: Date | undefined): string | undefined => date?.toISOString()
  return {
    ...toRegistration(client, clientSecret),
    ...(client.resourceServerOf === undefined ? {} : { resource_server_of: client.resourceServerOf }),
    ...(client.gateway === undefined ? {} : { gateway: client.gateway }),
    ...(client.roles.length > 0 ? { roles: client.roles.map(({ resource, name }) => ({ resource, name })) } : {}),
    created_at: time(client.createdAt),
    updated_at: time(client.updatedAt),
    disabled_at: time(client.disabledAt),
    last_used_at: time(client.lastUsedAt),
    secrets: client.secrets
      .filter(({ expiresAt }) => !expiresAt || expiresAt > now)
      .map((secret) => ({
        id: secret.id,
        created_at: time(secret.createdAt),
        expires_at: time(secret.expiresAt),
        last_used_at: time(secret.lastUsedAt),
        weak: secret.method === 'argon2id',
      })),
  }
}

/** @throws {InvalidClientMetadataError} when a request without a scope could not tell which resource it is for */
async function checkScopes(ctx: Context, metadata: ClientMetadata): Promise<void> {
  if (metadata.defaultScope.length === 0) return
  await ctx.resources.refresh()
  if (spansOneResource(ctx, metadata, metadata.defaultScope)) return
  throw new InvalidClientMetadataError(
    'default_scope does not say which resource it is for: choose scopes that one resource, and no other, owns all of.',
    { reason: 'default_scope_ambiguous' },
  )
}

/** @throws {InvalidClientMetadataError} */
async function checkTier(ctx: Context, { rateTier }: ClientMetadata): Promise<void> {
  if (rateTier === undefined || (await tiers.find(ctx.db, rateTier))) return
  throw new InvalidClientMetadataError(`rate_tier names the tier ${rateTier}, which there is not.`, {
    reason: 'tier_unknown',
  })
}

/** A client whose grants live longer than all others' needs their partitions to be there. */
async function ensureReach(ctx: Context, { refreshTokenLifetime = 0 }: ClientMetadata): Promise<void> {
  const horizon = await partitions.horizonOf(ctx.db, ctx.config)
  if (refreshTokenLifetime <= horizon.grantLifetime) return
  await partitions.ensurePartitions(ctx.db.pool, { ...horizon, grantLifetime: refreshTokenLifetime }, ctx.clock.now())
}

function supported({ grantTypes }: RegistrationOptions): SupportedMetadata {
  return { grantTypes, authenticationMethods: authenticationMethods.map(({ name }) => name) }
}

function usesSecret({ tokenEndpointAuthMethod }: Pick<StoredClient, 'tokenEndpointAuthMethod'>): boolean {
  return tokenEndpointAuthMethod.startsWith('client_secret_')
}

/** Names on the wire of what a change changed; never the values, which may be somebody's address. */
function changedNames(before: StoredClient, after: ClientMetadata): readonly string[] {
  const old = formatClientMetadata(before)
  const next = formatClientMetadata({ ...before, ...after })
  const names = new Set([...Object.keys(old), ...Object.keys(next)])
  return [...names].filter((name) => JSON.stringify(old[name]) !== JSON.stringify(next[name]))
}

/** What the client is part of, where it is none by itself. */
function ownerOf({ resourceServerOf, gateway }: ClientWithSecrets): { role: string; noun: string } | undefined {
  if (gateway !== undefined) return { role: `gateway ${gateway}`, noun: 'gateway' }
  return resourceServerOf === undefined
    ? undefined
    : { role: `resource server of ${resourceServerOf}`, noun: 'resource' }
}

/** What this process remembers of it; other processes were notified. */
async function forget(ctx: Context, clientId: string): Promise<void> {
  ctx.clients.drop(clientId)
  await ctx.revocations.refresh()
}

async function reread(ctx: Context, clientId: string): Promise<ClientWithSecrets> {
  await forget(ctx, clientId)
  return findClient(ctx, clientId)
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
}

function isTaken(clientId: string): ConflictError {
  return new ConflictError(`A client ${clientId} exists already. Choose another client_id, or update that client.`)
}

function isUsersId(clientId: string): ConflictError {
  return new ConflictError(`${clientId} is the id of a user. Choose another client_id.`)
}

function isUnknown(clientId: string): NotFoundError {
  return new NotFoundError('client', `There is no client ${clientId}.`)
}
