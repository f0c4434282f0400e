import { actOf, type By, newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { NotFoundError } from '../platform/administration-errors.js'
import { auditEvents, clients, gateways, type Resource, type ResourceScope, resources } from '../store/index.js'
import { applySettings, type ClearableSetting, type ResourceSettings } from './settings.js'

// Making and deleting a resource makes and deletes a client: those two are in `clients/resource-servers.ts`.

export interface ChangedResource {
  readonly resource: Resource
  /** Sentences for the administrator: what this means for clients that are registered already. */
  readonly warnings: readonly string[]
}

/**
 * Changes what is given. Tokens that were issued stay as they are until they end.
 *
 * @param cleared settings to take back
 * @throws {NotFoundError} {InvalidValueError}
 */
export async function updateResource(
  ctx: Context,
  identifier: string,
  settings: ResourceSettings,
  { by, cleared = [] }: { readonly by: By; readonly cleared?: readonly ClearableSetting[] },
): Promise<ChangedResource> {
  const { signingAlg } = applySettings(await findResource(ctx, identifier), settings, cleared)
  if (signingAlg) await ctx.keys.ensure([signingAlg])
  const { before, resource } = await ctx.db.transaction(async (tx) => {
    const before = await resources.findForUpdate(tx, identifier)
    if (!before) throw isUnknown(identifier)
    const changed = applySettings(before, settings, cleared)
    const resource = { ...before, ...changed, updatedAt: ctx.clock.now() }
    await resources.update(tx, resource)
    const names = Object.entries(changed).flatMap(([name, value]) =>
      JSON.stringify(value) === JSON.stringify(before[name as keyof Resource]) ? [] : [name],
    )
    const { acceptsBasic } = changed
    const switched = acceptsBasic === before.acceptsBasic ? {} : { acceptsBasic }
    const detail = { resource: identifier, changed: names, ...switched }
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'resource.updated', detail }))
    return { before, resource }
  })
  const added = resource.scopes.filter(({ name }) => !before.scopes.some((scope) => scope.name === name))
  await ctx.resources.refresh()
  const closed = before.acceptsBasic && !resource.acceptsBasic
  const warnings = [
    ...(await sharedScopeWarnings(ctx, identifier, added)),
    ...(closed ? await gatewayWarnings(ctx, identifier) : []),
  ]
  return { resource: await findResource(ctx, identifier), warnings }
}

/** What a gateway is registered for, its API may not permit. */
async function gatewayWarnings(ctx: Context, identifier: string): Promise<readonly string[]> {
  const all = await gateways.list(ctx.db, identifier)
  return all
    .filter(({ accept }) => accept.includes('basic'))
    .map(({ name }) => `The gateway ${name} is registered for passwords, and refuses them from now on.`)
}

export function listResources(ctx: Context): Promise<readonly Resource[]> {
  return resources.list(ctx.db)
}

/** One resource as it is in the database. @throws {NotFoundError} */
export async function findResource(ctx: Context, identifier: string): Promise<Resource> {
  const resource = await resources.find(ctx.db, identifier)
  if (!resource) throw isUnknown(identifier)
  return resource
}

function isUnknown(identifier: string): NotFoundError {
  return new NotFoundError('resource', `There is no resource ${identifier}.`)
}

/** What an administrator sees of a resource. */
export function describeResource(resource: Resource): Record<string, unknown> {
  return {
    identifier: resource.identifier,
    name: resource.name,
    client_id: resource.clientId,
    scope: resource.scopes.map(({ name }) => name).join(' '),
    scopes: resource.scopes.map(({ name, description, tokenLifetime }) => ({
      name,
      description,
      token_lifetime: tokenLifetime,
    })),
    token_format: resource.tokenFormat,
    token_lifetime: resource.tokenLifetime,
    signing_alg: resource.signingAlg,
    claims: resource.claims,
    uses_roles: resource.usesRoles,
    accepts_basic: resource.acceptsBasic,
    created_at: resource.createdAt.toISOString(),
    updated_at: resource.updatedAt.toISOString(),
  }
}

/**
 * A name that two resources own does not say which of them is meant: whoever asks for it must name the resource from now
 * on. That is permitted, and has to be known.
 */
export async function sharedScopeWarnings(
  ctx: Context,
  identifier: string,
  added: readonly ResourceScope[],
): Promise<readonly string[]> {
  const shared = added.flatMap(({ name }) => {
    const others = ctx.resources.ownersOf(name).filter((owner) => owner !== identifier)
    return others.length > 0 ? [{ name, others }] : []
  })
  if (shared.length === 0) return []
  const registered = await clients.countRegisteredFor(
    ctx.db,
    shared.map(({ name }) => name),
  )
  return shared.map(({ name, others }) => {
    const count = registered.get(name) ?? 0
    const who = count === 1 ? ' 1 client is' : ` ${count} clients are`
    return (
      `The scope ${name} belongs to ${others.join(' and ')} too, so clients that ask for it must name the resource ` +
      `by the parameter resource.${count === 0 ? '' : `${who} registered for it already.`}`
    )
  })
}
