import { actOf, type By, newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { InvalidClientMetadataError, implicitGrantType } from '../oauth/index.js'
import { ConflictError } from '../platform/administration-errors.js'
import { coverCommit, describeRevocation } from '../revocation/index.js'
import {
  auditEvents,
  type ClientSecret,
  type ClientWithSecrets,
  clients,
  type Db,
  isUniqueViolation,
  revocations,
  type StoredClient,
  unusedClients,
  users,
} from '../store/index.js'
import { authenticationMethods } from './authentication/index.js'
import { findClient, isUnknown, ownerOf, reread, usesSecret } from './find.js'
import {
  type ClientMetadata,
  formatClientMetadata,
  mergeClientMetadata,
  readClientMetadata,
  type SupportedMetadata,
} from './metadata.js'
import { narrowKeys } from './narrowing.js'
import { prepareFor } from './prepare.js'
import { generateSecret, hashSecret, strongSecretLength } from './secrets.js'
import { endOtherSubjects, endOtherSubjectsOfMeanwhile } from './sector.js'

export interface RegistrationOptions {
  readonly by: By
  /** What clients may register, from the list of the token endpoint. */
  readonly grantTypes: readonly string[]
  /** Looks at what the metadata names outside, before anything is written. Throws where it may not be. */
  readonly check?: (ctx: Context, metadata: ClientMetadata, before?: StoredClient) => Promise<void>
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
  const read = readClientMetadata(metadata, supported(ctx, options))
  if (read.clientSecret !== undefined && read.clientSecret.length < strongSecretLength && !options.allowWeakSecret) {
    throw new InvalidClientMetadataError(
      `client_secret is shorter than ${strongSecretLength} characters: bring a longer one, or leave it out and one is made.`,
      { reason: 'client_secret_weak', field: 'client_secret' },
    )
  }
  await options.check?.(ctx, read)
  return createClient(ctx, read, options.by)
}

/** What a client has besides its metadata that registered itself (RFC 7591, RFC 7592), or that a document describes. */
export type SelfRegistration = Pick<
  StoredClient,
  'selfRegistered' | 'registrationAccessHash' | 'unusedUntil' | DocumentFields
>

type DocumentFields = 'documentHash' | 'documentFetchedAt' | 'documentFreshUntil'

/** The same for metadata that was read already: of a resource server, say. */
export async function createClient(
  ctx: Context,
  { clientSecret: brought, ...metadata }: ClientMetadata,
  by: By,
  more: (tx: Db, client: StoredClient) => Promise<void> = async () => undefined,
  own: SelfRegistration = {},
): Promise<RegisteredClient> {
  const clientId = metadata.clientId ?? ctx.random.uuid()
  await prepareFor(ctx, metadata)
  const clientSecret = brought ?? (usesSecret(metadata) ? generateSecret(ctx) : undefined)
  const secret: ClientSecret | undefined = clientSecret === undefined ? undefined : await hashSecret(ctx, clientSecret)

  const now = ctx.clock.now()
  const client: StoredClient = {
    ...metadata,
    ...own,
    clientId,
    // A name may have been another's, deleted since: what users granted that one is not this one's.
    notBefore: metadata.clientId === undefined ? undefined : new Date(now.getTime() - 1),
    createdAt: now,
    updatedAt: now,
  }
  const type = own.selfRegistered ? 'client.registered' : 'client.created'
  const event = newEvent(ctx, { ...actOf(by), type, clientId })
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
  const read = (stored: StoredClient): ClientMetadata => mergeClientMetadata(stored, patch, supported(ctx, options))
  // Whom an administrator looks after is not deleted as one that nobody uses.
  const more = async (tx: Db) => void (await unusedClients.keep(tx, clientId))
  return changeClient(ctx, clientId, { read, by: options.by, more, check: options.check })
}

export interface ClientChange {
  /** What it is after it. Asked twice: before the work, and with the row held. */
  readonly read: (stored: StoredClient) => ClientMetadata
  readonly by: By
  readonly check?: RegistrationOptions['check']
  /** Throws where it may not be changed, as its row is at that moment. */
  readonly require?: (stored: StoredClient) => void
  /** What changes besides its metadata. */
  readonly own?: Pick<SelfRegistration, DocumentFields>
  /** Happens in the same transaction. @param clientSecret where the change made one */
  readonly more?: (tx: Db, before: StoredClient, after: ClientMetadata, clientSecret?: string) => Promise<void>
}

/** The same for whoever knows by other rules what may be changed. @throws what `updateClient` does */
export async function changeClient(
  ctx: Context,
  clientId: string,
  { read, by, check, require, own, more }: ClientChange,
): Promise<RegisteredClient> {
  const before = await findClient(ctx, clientId)
  const owner = ownerOf(before)
  const metadata = read(before)
  if (owner !== undefined && !usesSecret(metadata)) {
    throw new ConflictError(`This client is the ${owner.role}: it must prove itself by a secret.`)
  }
  if (before.documentHash && metadata.firstParty) {
    throw new ConflictError('Whoever writes the document at its client_id says what this client is: it is asked about.')
  }
  await check?.(ctx, metadata, before)
  await prepareFor(ctx, metadata)
  const now = ctx.clock.now()
  // For one that has none, which is known when its row is held: of two changes at once the second finds that of the first.
  const drawn = usesSecret(metadata) ? generateSecret(ctx) : undefined
  const secret = drawn === undefined ? undefined : await hashSecret(ctx, drawn)

  const { narrowed, isOther, clientSecret } = await ctx.db.transaction(async (tx) => {
    // Whoever revokes takes this first.
    await revocations.lock(tx)
    const stored = await clients.findForUpdate(tx, clientId)
    if (!stored) throw isUnknown(clientId)
    require?.(stored)
    const { clientSecret: _, ...changed } = read(stored)
    await clients.update(tx, { ...stored, ...changed, ...own, clientId, updatedAt: now })
    if (!usesSecret(changed)) await clients.removeSecrets(tx, clientId)
    const isFirst = secret !== undefined && usesSecret(changed) && (await clients.addFirstSecret(tx, clientId, secret))
    const clientSecret = isFirst ? drawn : undefined
    await more?.(tx, stored, changed, clientSecret)
    const detail = { changed: changedNames(stored, changed) }
    const event = newEvent(ctx, { ...actOf(by), type: 'client.updated', clientId, detail })
    const isOtherMethod = stored.tokenEndpointAuthMethod !== changed.tokenEndpointAuthMethod
    if (usesSecret(stored) && isOtherMethod) {
      // Whoever remembers that its password was right asks again.
      const target = { kind: 'client_secret', clientId, resources: stored.allowedResources } as const
      const outdated = describeRevocation(ctx, target, { ...by, reason: 'client_method_changed' })
      await revocations.create(tx, { ...outdated, event })
    } else await auditEvents.create(tx, event)
    const change = { clientId, before: stored, after: changed, by }
    const narrowed = await narrowKeys(ctx, tx, change)
    return { narrowed, isOther: await endOtherSubjects(ctx, tx, change), clientSecret }
  })
  if (narrowed) await coverCommit(ctx, narrowed)
  const client = await reread(ctx, clientId)
  if (isOther) await endOtherSubjectsOfMeanwhile(ctx, { clientId, by })
  return { client, clientSecret }
}

/** What this server has, for whoever reads metadata. */
export function supported(ctx: Context, { grantTypes }: Pick<RegistrationOptions, 'grantTypes'>): SupportedMetadata {
  return {
    grantTypes: ctx.config.clients.implicit ? [...grantTypes, implicitGrantType] : grantTypes,
    authenticationMethods: authenticationMethods.map(({ name }) => name),
    addresses: ctx.outbound.problemOf,
  }
}

/** Names on the wire of what a change changed; never the values, which may be somebody's address. */
function changedNames(before: StoredClient, after: ClientMetadata): readonly string[] {
  const old = formatClientMetadata(before)
  const next = formatClientMetadata({ ...before, ...after })
  const names = new Set([...Object.keys(old), ...Object.keys(next)])
  return [...names].filter((name) => JSON.stringify(old[name]) !== JSON.stringify(next[name]))
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
