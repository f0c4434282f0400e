import type { Context } from '../context.js'
import { type ApiKey, clients, type RotatedSecret, type UsedNetwork, usage } from '../store/index.js'
import { byCredential, callersOf, usesOf } from './report.js'

/** A key that has a successor, and who is still on it. */
export interface AdoptedKey {
  readonly key: ApiKey
  /** Since it got the successor. */
  readonly uses: number
  readonly lastUsedAt: Date | undefined
  /** From where it is still used, and at which APIs; the busiest first. */
  readonly callers: readonly UsedNetwork[]
  readonly successorUses: number
}

/** @param keys others than those that were rotated are left out */
export async function adoptionOf(ctx: Context, keys: readonly ApiKey[]): Promise<readonly AdoptedKey[]> {
  const rotated = keys.filter(({ successor, rotatedAt }) => successor !== undefined && rotatedAt !== undefined)
  if (rotated.length === 0) return []
  const since = new Date(Math.min(...rotated.map(({ rotatedAt }) => rotatedAt!.getTime())))
  const filter = { kind: 'api_key', since, now: ctx.clock.now() } as const
  const olds = rotated.map(({ id }) => id)
  const [totals, networks] = await Promise.all([
    usage.totals(ctx.db, { ...filter, credentials: [...olds, ...rotated.map(({ successor }) => successor!)] }),
    usage.networks(ctx.db, { ...filter, credentials: olds }),
  ])
  // A key may have been rotated in the middle of an hour: what was counted says whether it was before.
  const wholes = byCredential(totals.filter(({ scope }) => scope === ''))
  const seen = byCredential(networks.filter(({ superseded }) => superseded))
  return rotated.map((key) => {
    const callers = callersOf(seen.get(key.id) ?? [])
    const last = callers.reduce<number | undefined>(
      (max, { lastSeen }) => Math.max(max ?? 0, lastSeen.getTime()),
      undefined,
    )
    return {
      key,
      uses: sum(usesOf((wholes.get(key.id) ?? []).filter(({ superseded }) => superseded))),
      lastUsedAt: last === undefined ? undefined : new Date(last),
      callers,
      successorUses: sum(usesOf(wholes.get(key.successor!) ?? [])),
    }
  })
}

/** A client secret that has a successor, and from where it is still used. */
export interface AdoptedSecret {
  readonly secret: RotatedSecret
  /** Since it got the successor. */
  readonly uses: number
  readonly lastUsedAt: Date | undefined
  /** The networks of the client; the busiest first. */
  readonly callers: readonly UsedNetwork[]
}

/** Client secrets that were rotated and whose overlap is not over: of one client, or of all. */
export async function adoptionOfSecrets(ctx: Context, clientId?: string): Promise<readonly AdoptedSecret[]> {
  const now = ctx.clock.now()
  const secrets = await clients.listRotated(ctx.db, { clientId, now })
  if (secrets.length === 0) return []
  const since = new Date(Math.min(...secrets.map(({ rotatedAt }) => rotatedAt.getTime())))
  const credentials = secrets.map(({ id }) => id)
  // What is counted of a secret was with the old one: only that is counted.
  const networks = await usage.networks(ctx.db, { kind: 'client_secret', credentials, since, now })
  const seen = byCredential(networks)
  return secrets.map((secret) => {
    const callers = seen.get(secret.id) ?? []
    const { lastUsedAt, rotatedAt } = secret
    const isUsed = lastUsedAt !== undefined && lastUsedAt > rotatedAt
    return { secret, uses: sum(callers), lastUsedAt: isUsed ? lastUsedAt : undefined, callers }
  })
}

function sum(rows: readonly { readonly count: number }[]): number {
  return rows.reduce((total, { count }) => total + count, 0)
}
