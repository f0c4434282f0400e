import { oneAtATime } from '../platform/one-at-a-time.js'
import { type Database, type Gateway, gateways } from '../store/index.js'

/** All gateways, in memory: they are few, and every request that one of them got asks for it. */
export interface GatewayCatalogue {
  /** The same object until it is changed. */
  readonly find: (name: string) => Gateway | undefined
  readonly refresh: () => Promise<void>
}

export function createGatewayCatalogue(db: Database): GatewayCatalogue {
  let byName = new Map<string, Gateway>()
  return {
    find: (name) => byName.get(name),
    refresh: oneAtATime(async () => {
      const all = await gateways.list(db)
      byName = new Map(all.map((gateway) => [gateway.name, unchanged(byName.get(gateway.name), gateway)]))
    }),
  }
}

function unchanged(known: Gateway | undefined, read: Gateway): Gateway {
  return known && JSON.stringify(known) === JSON.stringify(read) ? known : read
}
