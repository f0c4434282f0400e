import { oneAtATime } from '../platform/one-at-a-time.js'
import { type Database, type Tier, tiers } from '../store/index.js'

/** All tiers, in memory: they are few, and every limited request asks for one. */
export interface TierCatalogue {
  /** The same object until its numbers change. */
  readonly find: (name: string) => Tier | undefined
  readonly refresh: () => Promise<void>
}

/** @param onGone hears of each that was there, and is not any more */
export function createTierCatalogue(db: Database, onGone: (name: string) => void): TierCatalogue {
  let byName = new Map<string, Tier>()
  return {
    find: (name) => byName.get(name),
    refresh: oneAtATime(async () => {
      const all = await tiers.list(db)
      const before = byName
      byName = new Map(all.map((tier) => [tier.name, unchanged(before.get(tier.name), tier) ?? tier]))
      for (const name of before.keys()) if (!byName.has(name)) onGone(name)
    }),
  }
}

function unchanged(known: Tier | undefined, tier: Tier): Tier | undefined {
  const isSame =
    known?.limit === tier.limit &&
    known.window === tier.window &&
    known.burst === tier.burst &&
    known.rotateEvery === tier.rotateEvery
  return isSame ? known : undefined
}
