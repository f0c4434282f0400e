import type { Context } from '../context.js'
import { type CountedUse, type CredentialKind, type UsedNetwork, usage } from '../store/index.js'
import { askedAbout } from './tally.js'

/** What was done with a credential since some time. */
export interface UsageReport {
  readonly since: Date
  /** Oldest first. */
  readonly uses: readonly {
    readonly time: Date
    readonly api: string
    readonly outcome: string
    readonly count: number
    /** How many of them were for each scope. */
    readonly scopes: Readonly<Record<string, number>>
  }[]
  /** The busiest first; counted by the day. */
  readonly networks: readonly UsedNetwork[]
}

/** By the hour or day, of UTC. What is written behind is in it after seconds. */
export async function usageOf(
  ctx: Context,
  { kind, credential }: { readonly kind: CredentialKind; readonly credential: string },
  { since, unit }: { readonly since: Date; readonly unit: 'hour' | 'day' },
): Promise<UsageReport> {
  const filter = { kind, credentials: [credential], since, now: ctx.clock.now() }
  const [rows, networks] = await Promise.all([usage.list(ctx.db, filter, unit), usage.networks(ctx.db, filter)])
  const uses = new Map<string, { whole: CountedUse; count: number; scopes: Map<string, number> }>()
  for (const row of rows) {
    const key = `${row.hour.getTime()}\n${row.api}\n${row.outcome}`
    const found = uses.get(key) ?? { whole: row, count: 0, scopes: new Map() }
    if (row.scope === '') found.count += row.count
    else found.scopes.set(row.scope, (found.scopes.get(row.scope) ?? 0) + row.count)
    uses.set(key, found)
  }
  return {
    since,
    uses: [...uses.values()].map(({ whole, count, scopes }) => ({
      ...{ time: whole.hour, api: whole.api, outcome: whole.outcome, count },
      scopes: Object.fromEntries(scopes),
    })),
    networks,
  }
}

/** Whether something was let through, as far as this server or an API said. */
export function isUse(outcome: string): boolean {
  return outcome === 'accepted' || outcome === 'exchanged'
}

const refusals: readonly string[] = ['insufficient_scope', 'network', 'origin', 'rate_limited', 'ended', 'refused']

/** Of a client whatever is no refusal is a use: tokens are counted by the grant type that they were issued for. */
export function isUseOfClient(outcome: string): boolean {
  return !refusals.includes(outcome)
}

type Total = Omit<CountedUse, 'hour'>

/**
 * Those that let something through. Of an API that only asks about a key, and reports nothing, what it asked is all that is
 * known: then that counts.
 */
export function usesOf(rows: readonly Total[]): readonly Total[] {
  const reporting = new Set(rows.filter(({ outcome }) => outcome !== askedAbout).map(placeOf))
  return rows.filter((row) => isUse(row.outcome) || (row.outcome === askedAbout && !reporting.has(placeOf(row))))
}

/** The same of networks. */
export function callersOf(rows: readonly UsedNetwork[]): readonly UsedNetwork[] {
  const reporting = new Set(rows.filter(({ network }) => network !== askedAbout).map(placeOf))
  return rows.filter((row) => row.network !== askedAbout || !reporting.has(placeOf(row)))
}

function placeOf({ credential, api }: { readonly credential: string; readonly api: string }): string {
  return `${credential}\n${api}`
}

export function byCredential<Row extends { readonly credential: string }>(
  rows: readonly Row[],
): ReadonlyMap<string, readonly Row[]> {
  const grouped = new Map<string, Row[]>()
  for (const row of rows) {
    const known = grouped.get(row.credential)
    if (known) known.push(row)
    else grouped.set(row.credential, [row])
  }
  return grouped
}
