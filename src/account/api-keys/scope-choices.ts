import type { Context } from '../../context.js'
import { InvalidValueError } from '../../platform/administration-errors.js'
import { allowedByRoles } from '../../resources/index.js'
import { roles } from '../../store/index.js'

/** An API, and what a key of this user may do there. */
export interface ScopeGroup {
  readonly identifier: string
  readonly label: string
  readonly scopes: readonly { readonly name: string; readonly sentence: string }[]
}

/** What this user's roles allow at the moment. */
export async function offeredScopes(ctx: Context, userId: string): Promise<readonly ScopeGroup[]> {
  const held = await roles.heldBy(ctx.db, { kind: 'user', holder: userId })
  const identifiers = [...new Set(ctx.resources.scopes().flatMap((scope) => ctx.resources.ownersOf(scope)))].sort()
  return identifiers.flatMap((identifier) => {
    const resource = ctx.resources.find(identifier)
    if (!resource) return []
    const names = resource.scopes.map(({ name }) => name)
    const allowed = new Set(allowedByRoles(resource, names, held))
    const scopes = resource.scopes
      .filter(({ name }) => allowed.has(name))
      .map(({ name, description }) => ({ name, sentence: description ?? '' }))
    return scopes.length === 0 ? [] : [{ identifier, label: resource.name ?? identifier, scopes }]
  })
}

/** The value of a checkbox. Neither an identifier nor a scope has a space in it. */
export function choiceOf(identifier: string, scope: string): string {
  return `${identifier} ${scope}`
}

/**
 * What was ticked, as a key has it: scopes and APIs, of which it may do each scope wherever there is one of that name.
 *
 * @throws {InvalidValueError} for nothing, for what was not offered, and where a key would do more than was ticked
 */
export function readChoices(
  groups: readonly ScopeGroup[],
  ticked: ReadonlySet<string>,
): { readonly scope: readonly string[]; readonly resources: readonly string[] } {
  const offered = groups.flatMap(({ identifier, label, scopes }) =>
    scopes.map(({ name }) => ({ identifier, label, name, value: choiceOf(identifier, name) })),
  )
  const chosen = offered.filter(({ value }) => ticked.has(value))
  if (chosen.length < ticked.size) throw invalid('You may not do all of this any more: choose again.')
  if (chosen.length === 0) throw invalid('Choose at least one thing that the key may do.')
  const scope = [...new Set(chosen.map(({ name }) => name))]
  const resources = [...new Set(chosen.map(({ identifier }) => identifier))]
  const more = offered.find(
    ({ identifier, name, value }) => resources.includes(identifier) && scope.includes(name) && !ticked.has(value),
  )
  if (!more) return { scope, resources }
  throw invalid(
    `${more.name} would hold at ${more.label} too: choose it there as well, or make a key for each of the two.`,
  )
}

function invalid(message: string): InvalidValueError {
  return new InvalidValueError(message, { field: 'scope' })
}
