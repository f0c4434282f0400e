import { checkApiKey, reportExposed } from '../../api-keys/index.js'
import type { By } from '../../audit/index.js'
import type { Context } from '../../context.js'
import { type ApiKey, apiKeys, type CredentialKind, clients } from '../../store/index.js'
import type { ReportedUse } from './reported-use.js'

interface Report {
  readonly uses: readonly ReportedUse[]
  /** Those that it had no room to tell apart. */
  readonly uncounted: number
}

/** Seconds that a report may be late: an API goes on while this server is away. */
const latest = 86_400

/**
 * Counts what concerns this API: uses of keys that are for it, and of service accounts that may reach it, for its own scopes.
 * One statement reads the keys of a report and one its clients, before anything is counted: what fails is sent again. Nothing
 * is written.
 *
 * @returns how many lines were counted
 */
export async function countReport(ctx: Context, audience: string, { uses, uncounted }: Report): Promise<number> {
  const [keys, accounts] = await Promise.all([
    keysOf(ctx, audience, credentialsOf(uses, 'api_key')),
    clients.listReaching(ctx.db, credentialsOf(uses, 'client'), audience),
  ])
  const own = new Set(ctx.resources.find(audience)?.scopes.map(({ name }) => name))
  const now = ctx.clock.now().getTime()
  let counted = 0
  for (const { kind, credential, outcome, count, ago, superseded, network: from, ...use } of uses) {
    const key = kind === 'api_key' ? keys.get(credential) : undefined
    if (!key && !(kind === 'client' && accounts.has(credential))) continue
    const at = new Date(now - Math.min(ago, latest) * 1000)
    const scope = use.scope.filter((name) => own.has(name)).join(' ')
    const isOld = superseded && key?.rotatedAt !== undefined
    ctx.usage.record({ kind, credential, api: audience, scope, outcome, superseded: isOld, at, from, count })
    if (key && outcome === 'accepted') ctx.apiKeyUse.record({ id: key.id, at, from })
    counted++
  }
  if (uncounted > 0) {
    const whose = { kind: 'api_key', credential: '*', api: audience } as const
    ctx.usage.record({ ...whose, scope: '', outcome: 'uncounted', at: new Date(now), count: uncounted })
  }
  return counted
}

/**
 * Marks keys of this API that it saw in addresses. By their text: an id is public, and who knows no more must not mark
 * anything (attack 113). What is marked already costs no transaction.
 */
export async function countExposed(ctx: Context, audience: string, texts: readonly string[], by: By): Promise<void> {
  const shown = await Promise.all([...new Set(texts)].map((text) => checkApiKey(ctx, text)))
  for (const key of shown) {
    if (typeof key === 'string' || key.exposedAt || !key.resources.includes(audience)) continue
    await reportExposed(ctx, key.id, { by, where: 'address', api: audience })
  }
}

function credentialsOf(uses: readonly ReportedUse[], of: CredentialKind): readonly string[] {
  return [...new Set(uses.flatMap(({ kind, credential }) => (kind === of ? credential : [])))]
}

/** Those that are for this API. */
async function keysOf(ctx: Context, audience: string, ids: readonly string[]): Promise<ReadonlyMap<string, ApiKey>> {
  const found = await Promise.all(ids.map((id) => apiKeys.find(ctx.db, id)))
  return new Map(found.flatMap((each) => (each?.key.resources.includes(audience) ? [[each.key.id, each.key]] : [])))
}
