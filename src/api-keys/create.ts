import { actOf, type By, newEvent } from '../audit/index.js'
import { findClient } from '../clients/index.js'
import type { Context } from '../context.js'
import { findUser } from '../identity/index.js'
import { isSubset } from '../oauth/index.js'
import { ConflictError } from '../platform/administration-errors.js'
import { networkForm, parseNetwork } from '../platform/network.js'
import { plainText } from '../platform/plain-text.js'
import { endsOfApiKey, refuseBehind } from '../revocation/index.js'
import {
  type ApiKey,
  type ApiKeyKind,
  type ApiKeyOwner,
  apiKeys,
  auditEvents,
  type Db,
  type NewApiKey,
  revocations,
  tiers,
} from '../store/index.js'
import { drawApiKey, drawApiKeyId } from './format.js'
import { invalid } from './invalid.js'
import { checkPrefix, kindPrefixes } from './prefix.js'
import { checkPublicJwk, type PublicJwk } from './public-jwk.js'
import { hashApiKey } from './secret.js'

/** What is asked for; what is left out has a default. */
export interface NewApiKeyRequest {
  /** Drawn before, by `drawApiKeyId`: of requests that say the same one is done. */
  readonly id?: string | undefined
  readonly owner: ApiKeyOwner
  readonly name: string
  readonly description?: string | undefined
  /** Default: secret. */
  readonly kind?: ApiKeyKind | undefined
  /** Default: `sk`, `pk` or `sig`, by its kind; these are for no other. */
  readonly prefix?: string | undefined
  /** Default: live. */
  readonly environment?: string | undefined
  readonly scope: readonly string[]
  /** Identifiers; default: the one resource that has the scopes. */
  readonly resources?: readonly string[] | undefined
  /** Default: from anywhere. */
  readonly networks?: readonly string[] | undefined
  readonly origins?: readonly string[] | undefined
  readonly tier?: string | undefined
  /** Seconds; default: the server's setting; `never` is allowed, and shows. */
  readonly lifetime?: number | 'never' | undefined
  readonly publicJwk?: PublicJwk | undefined
  /** Default: where the command line makes it. */
  readonly managed?: boolean | undefined
  /** The `client_id` by whose token it is made. */
  readonly createdByClient?: string | undefined
}

export interface CreatedApiKey {
  readonly key: ApiKey
  /** The key itself, this once; a signing key has none. */
  readonly text: string | undefined
}

/**
 * @throws {NotFoundError} {InvalidValueError} for what may not be; {ConflictError} for more than an owner may have, and where
 *   there is a key of this id
 * @throws {TemporarilyUnavailableError} when the clock was set back behind an end of the owner's keys
 */
export async function createApiKey(ctx: Context, request: NewApiKeyRequest, by: By): Promise<CreatedApiKey> {
  const checked = await checkRequest(ctx, { managed: by.actor === 'operator', ...request })
  return ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    await requireTier(tx, checked.tier)
    return writeApiKey(ctx, tx, checked, by)
  })
}

/** Under the lock, which whoever deletes one holds too. @throws {InvalidValueError} */
async function requireTier(tx: Db, name: string | undefined): Promise<void> {
  if (name === undefined || (await tiers.find(tx, name))) return
  throw invalid('tier', `There is no tier ${name.slice(0, 100)}.`)
}

/** @throws {ConflictError} */
async function requireRoom(ctx: Context, tx: Db, owner: ApiKeyOwner): Promise<void> {
  const { perOwner } = ctx.config.apiKeys
  if ((await apiKeys.countLive(tx, owner, ctx.clock.now(), perOwner)) < perOwner) return
  throw new ConflictError(`The ${owner.kind} has ${perOwner} API keys: end some that nobody uses.`)
}

/** All that a key is, but for its id and its times. */
export type ApiKeyDescription = Omit<ApiKey, 'id' | 'createdAt' | 'updatedAt' | 'expiresAt'> & {
  /** Seconds. */
  readonly lifetime: number | undefined
  /** Undefined: it is drawn. */
  readonly id?: string | undefined
}

/** A key before it is written, with what it is shown by. */
export interface DrawnApiKey {
  readonly row: NewApiKey
  readonly text: string | undefined
}

/**
 * Draws and writes a key. The caller holds the lock of revocations: whatever ends the owner's keys is committed before, or
 * begins afterwards. In the second of such an end no key is made: it would be ended with them.
 */
export async function writeApiKey(
  ctx: Context,
  tx: Db,
  description: ApiKeyDescription,
  by: By,
): Promise<CreatedApiKey> {
  await requireRoom(ctx, tx, description.owner)
  const { row, text } = draw(ctx, description, await firstInstant(ctx, tx, [description]))
  if (!(await apiKeys.create(tx, row))) throw new ConflictError(`The API key ${row.id} was made already.`)
  const { id, scope, resources, expiresAt, createdByClient: through } = row
  const detail = { key: id, scope: scope.join(' '), resources, expires: expiresAt?.toISOString(), through }
  await auditEvents.create(
    tx,
    newEvent(ctx, { ...actOf(by), type: 'api_key.created', ...aboutOwner(row.owner), detail }),
  )
  return { key: row, text }
}

/** Of many at once; nothing is written. */
export function drawSuccessors(
  ctx: Context,
  descriptions: readonly ApiKeyDescription[],
  createdAt: Date,
): readonly DrawnApiKey[] {
  return descriptions.map((description) => draw(ctx, description, createdAt))
}

function draw(
  ctx: Context,
  { lifetime, id = drawApiKeyId(ctx.random), ...plain }: ApiKeyDescription,
  createdAt: Date,
): DrawnApiKey {
  const text = plain.kind === 'signing' ? undefined : drawApiKey(ctx.random, { ...plain, id })
  const row = {
    ...plain,
    id,
    createdAt,
    updatedAt: createdAt,
    expiresAt: lifetime === undefined ? undefined : new Date(createdAt.getTime() + lifetime * 1000),
    secret: text === undefined ? undefined : hashApiKey(ctx, text),
  }
  return { row, text }
}

/** Now, or the second after what ended last of all that could end these keys. */
export async function firstInstant(
  ctx: Context,
  tx: Db,
  keys: readonly Pick<ApiKey, 'owner' | 'prefix'>[],
): Promise<Date> {
  const now = ctx.clock.now()
  // A client with a name of its own begins by an end, which is in no list: it inherits nothing of one before it.
  const owners = keys.map(({ owner }) => owner)
  const ends = [
    await revocations.lastInstant(tx, keys.flatMap(endsOfApiKey), now),
    await apiKeys.lastEndOfOwners(tx, owners),
  ].flatMap((end) => (end ? [end.getTime()] : []))
  if (ends.length === 0) return now
  const earliest = new Date((Math.floor(Math.max(...ends) / 1000) + 1) * 1000)
  if (earliest <= now) return now
  refuseBehind(now, earliest)
  return earliest
}

export function aboutOwner({ kind, id }: ApiKeyOwner): { readonly clientId: string } | { readonly subject: string } {
  return kind === 'client' ? { clientId: id } : { subject: id }
}

export const maxNameLength = 100
export const maxDescriptionLength = 500
const most = 100
/** Seconds. */
export const longest = 10 * 365 * 86_400

async function checkRequest(ctx: Context, request: NewApiKeyRequest): Promise<ApiKeyDescription> {
  const { owner, kind = 'secret', prefix = kindPrefixes[kind], environment = 'live', publicJwk, tier } = request
  const reaches = await checkOwner(ctx, owner, request.scope)
  checkWord(prefix, 'prefix')
  checkPrefix(kind, prefix)
  checkWord(environment, 'environment')
  const resources = checkScope(ctx, request)
  reaches(resources)
  if (kind === 'publishable') checkPublishable(request)
  else if (request.origins && request.origins.length > 0) {
    throw invalid('origins', 'Origins are for publishable keys: a secret one has no place in a browser.')
  }
  return {
    owner,
    kind,
    prefix,
    environment,
    name: requireText(request.name, 'name', maxNameLength),
    description:
      request.description === undefined
        ? undefined
        : requireText(request.description, 'description', maxDescriptionLength),
    scope: [...new Set(request.scope)],
    resources,
    networks: checkNetworks(request.networks ?? []),
    origins: (request.origins ?? []).map(checkOrigin),
    tier,
    publicJwk: kind === 'signing' ? checkPublicJwk(publicJwk) : undefined,
    lifetime: lifetimeOf(ctx, request.lifetime),
    managed: request.managed || undefined,
    createdByClient: request.createdByClient,
    id: request.id,
  }
}

/**
 * A key may do no more than its owner: a client has what it is registered for; a user what roles allow, at each use.
 *
 * @returns checks the resources, when they are known
 */
export async function checkOwner(
  ctx: Context,
  { kind, id }: ApiKeyOwner,
  scope: readonly string[],
): Promise<(resources: readonly string[]) => void> {
  const owner = kind === 'user' ? await findUser(ctx, id) : await findClient(ctx, id)
  if (owner.disabledAt) throw invalid('owner', `The ${kind} is disabled: a key of theirs would be good for nothing.`)
  if (!('clientId' in owner)) return () => undefined
  if (!isSubset(scope, owner.scope)) {
    const missing = scope.filter((name) => !owner.scope.includes(name))
    throw invalid('scope', `The client ${id} is not registered for the scope ${missing.join(' ')}.`)
  }
  const { allowedResources } = owner
  return (resources) => {
    const other = resources.find((identifier) => !allowedResources.includes(identifier))
    if (allowedResources.length === 0 || other === undefined) return
    throw invalid('resources', `The client ${id} may not reach the resource ${other}.`)
  }
}

function checkWord(text: string, what: string): void {
  if (!/^[a-z0-9]{1,16}$/.test(text)) throw invalid(what, `The ${what} is not 1 to 16 of a-z and 0-9.`)
}

export function requireText(text: string, what: string, length: number): string {
  const plain = plainText(text, length)
  if (plain === undefined) throw invalid(what, `The ${what} is not a text of 1 to ${length} visible characters.`)
  return plain
}

/** @returns the resources: each has one of the scopes, and each scope belongs to one of them */
export function checkScope(
  ctx: Context,
  { scope, resources: named }: Pick<NewApiKeyRequest, 'scope' | 'resources'>,
): readonly string[] {
  if (scope.length === 0) throw invalid('scope', 'A key has at least one scope.')
  const resources = named && named.length > 0 ? [...new Set(named)] : ownersOf(ctx, scope)
  const owned = new Set<string>()
  for (const identifier of resources) {
    const resource = ctx.resources.find(identifier)
    if (!resource) throw invalid('resources', `There is no resource ${identifier}.`)
    const own = resource.scopes.map(({ name }) => name).filter((name) => scope.includes(name))
    if (own.length === 0) throw invalid('resources', `${identifier} has none of the scopes.`)
    for (const name of own) owned.add(name)
  }
  const missing = scope.filter((name) => !owned.has(name))
  if (missing.length > 0) throw invalid('scope', `No such resource has the scope ${missing.join(' ')}.`)
  return resources
}

export function ownersOf(ctx: Context, scope: readonly string[]): readonly string[] {
  return [
    ...new Set(
      scope.map((name) => {
        const owners = ctx.resources.ownersOf(name)
        if (owners.length === 1) return owners[0]!
        const why = owners.length === 0 ? 'No resource has' : `${owners.join(' and ')} have`
        throw invalid('scope', `${why} the scope ${name}: name the resource.`)
      }),
    ),
  ]
}

/** It stands in pages that everybody can read: so it reads, from where it is registered for. */
export function checkPublishable({ scope, origins = [] }: Pick<NewApiKeyRequest, 'scope' | 'origins'>): void {
  if (origins.length === 0) throw invalid('origins', 'A publishable key names the origins of the pages it stands in.')
  const writing = scope.filter((name) => !/(?:^|[:.])read$|^read(?:[:.]|$)/.test(name))
  if (writing.length === 0) return
  throw invalid(
    'scope',
    `A publishable key has scopes to read alone, such as read, orders:read or read.orders; not ${writing.join(' ')}.`,
  )
}

export function checkOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.origin === text && /^https?:$/.test(url.protocol)) return text
  throw invalid('origins', `${text.slice(0, 200)} is not an origin, such as https://shop.example.com.`)
}

export function checkNetworks(networks: readonly string[]): readonly string[] {
  if (networks.length > most) throw invalid('networks', `A key has at most ${most} networks.`)
  return [
    ...new Set(
      networks.map((text) => {
        const network = parseNetwork(text)
        if (network !== undefined) return network
        throw invalid('networks', `${text.slice(0, 80)} is not a network, ${networkForm}.`)
      }),
    ),
  ]
}

function lifetimeOf(ctx: Context, lifetime: number | 'never' | undefined): number | undefined {
  if (lifetime === 'never') return undefined
  if (lifetime === undefined) return ctx.config.apiKeys.lifetime
  if (Number.isInteger(lifetime) && lifetime >= 60 && lifetime <= longest) return lifetime
  throw invalid('expires_in', 'A key lives from a minute to ten years, or forever: never.')
}
