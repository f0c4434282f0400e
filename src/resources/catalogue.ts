import { oneAtATime } from '../platform/one-at-a-time.js'
import { type Database, type Resource, resources } from '../store/index.js'

/** All resources and their scopes, in memory: they are few, and every token asks for one. */
export interface ResourceCatalogue {
  readonly find: (identifier: string) => Resource | undefined
  /** The identifiers of the resources that own a scope of this name. */
  readonly ownersOf: (scope: string) => readonly string[]
  /** Every algorithm that a resource asks for. */
  readonly signingAlgs: () => ReadonlySet<string>
  /** Every scope that a resource owns. The same array until it changes. */
  readonly scopes: () => readonly string[]
  readonly refresh: () => Promise<void>
}

export function createResourceCatalogue(db: Database): ResourceCatalogue {
  let byIdentifier = new Map<string, Resource>()
  let owners = new Map<string, readonly string[]>()
  let scopes: readonly string[] = []

  return {
    find: (identifier) => byIdentifier.get(identifier),
    ownersOf: (scope) => owners.get(scope) ?? [],
    signingAlgs: () => new Set([...byIdentifier.values()].flatMap(({ signingAlg }) => signingAlg ?? [])),
    scopes: () => scopes,
    refresh: oneAtATime(async () => {
      const all = await resources.list(db)
      const next = new Map<string, string[]>()
      for (const { identifier, scopes } of all) {
        for (const { name } of scopes) {
          const known = next.get(name)
          if (known) known.push(identifier)
          else next.set(name, [identifier])
        }
      }
      byIdentifier = new Map(all.map((resource) => [resource.identifier, resource]))
      owners = next
      const names = [...next.keys()].sort()
      if (names.join(' ') !== scopes.join(' ')) scopes = names
    }),
  }
}
