import type { Context } from '../context.js'
import { wellKnownScopes } from '../oauth/index.js'
import {
  type ApiKey,
  type ApiKeyOwner,
  apiKeys,
  type CredentialKind,
  clients,
  type StoredClient,
  usage,
} from '../store/index.js'
import { byCredential, isUse, isUseOfClient } from './report.js'

/** Scopes that a key or client has and has not used. */
export interface Removable {
  readonly kind: CredentialKind
  readonly id: string
  readonly name: string | undefined
  readonly scope: readonly string[]
}

export interface RemovableScopes {
  /** Since when uses are counted: while that is not long enough ago, nothing can be said. */
  readonly countedSince: Date | undefined
  readonly removable: readonly Removable[]
}

/** Milliseconds for which a scope is not used before it may be taken away. */
const patience = 90 * 86_400_000

/** Credentials of one question. */
const together = 500

interface Granted extends Removable {
  readonly createdAt: Date
}

/**
 * What could be taken from keys and clients that are older than 90 days: scopes for which nothing was let through in that time.
 * A client keeps what its keys have. An API may see a key and not say which scopes it was used for, since it reports nothing or
 * its routes require none by name: then none of its scopes is listed for that key.
 */
export async function removableScopes(ctx: Context, owner?: ApiKeyOwner): Promise<RemovableScopes> {
  const now = ctx.clock.now()
  const since = new Date(now.getTime() - patience)
  const countedSince = await usage.countedSince(ctx.db)
  if (!countedSince || countedSince > since) return { countedSince, removable: [] }
  const keys = await apiKeys.list(ctx.db, { owner, liveAt: now })
  const found = owner?.kind === 'user' ? [] : await clients.list(ctx.db)
  const own = found.filter(({ clientId, disabledAt }) => !disabledAt && (owner === undefined || owner.id === clientId))
  const ofKeys = scopesOfKeys(keys)
  const granted = [...own.map((client) => grantedTo(client, ofKeys.get(client.clientId))), ...keys.map(grantedToKey)]
  const old = granted.filter(({ createdAt, scope }) => createdAt <= since && scope.length > 0)
  const removable: Removable[] = []
  for (const kind of ['api_key', 'client'] as const) {
    const ofKind = old.filter((each) => each.kind === kind)
    for (let start = 0; start < ofKind.length; start += together) {
      removable.push(...(await unused(ctx, kind, ofKind.slice(start, start + together), { since, now })))
    }
  }
  return { countedSince, removable }
}

async function unused(
  ctx: Context,
  kind: CredentialKind,
  granted: readonly Granted[],
  span: { readonly since: Date; readonly now: Date },
): Promise<readonly Removable[]> {
  const rows = await usage.totals(ctx.db, { kind, credentials: granted.map(({ id }) => id), ...span })
  const ofEach = byCredential(rows)
  const isUseOf = kind === 'client' ? isUseOfClient : isUse
  return granted.flatMap(({ createdAt: _, ...each }) => {
    const own = ofEach.get(each.id) ?? []
    const uses = own.filter(({ outcome, scope }) => scope !== '' && isUseOf(outcome))
    const used = new Set(uses.map(({ scope }) => scope))
    const telling = new Set(uses.map(({ api }) => api))
    const silent = own.map(({ api }) => api).filter((api) => !telling.has(api))
    const unsure = new Set(silent.flatMap((api) => ctx.resources.find(api)?.scopes.map(({ name }) => name) ?? []))
    const scope = each.scope.filter((name) => !used.has(name) && !unsure.has(name))
    return scope.length === 0 ? [] : [{ ...each, scope }]
  })
}

function grantedToKey({ id, name, scope, createdAt }: ApiKey): Granted {
  return { kind: 'api_key', id, name, scope, createdAt }
}

/** What says something of a user, or opens this server itself, is none of an API's, and not listed. */
function grantedTo(client: StoredClient, ofKeys: ReadonlySet<string> = new Set()): Granted {
  const { clientId, clientName, createdAt } = client
  const scope = client.scope.filter((name) => !wellKnownScopes.has(name) && !ofKeys.has(name))
  return { kind: 'client', id: clientId, name: clientName, scope, createdAt }
}

/** What the keys of each client have. */
function scopesOfKeys(keys: readonly ApiKey[]): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>()
  for (const { owner, scope } of keys) {
    if (owner.kind !== 'client') continue
    const known = found.get(owner.id) ?? new Set()
    for (const name of scope) known.add(name)
    found.set(owner.id, known)
  }
  return found
}
