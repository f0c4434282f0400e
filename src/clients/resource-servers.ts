import { actOf, type By, newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { ConflictError } from '../platform/administration-errors.js'
import {
  applySettings,
  checkIdentifier,
  findResource,
  newResource,
  type ResourceSettings,
  sharedScopeWarnings,
} from '../resources/index.js'
import { auditEvents, gateways, isUniqueViolation, type Resource, resources, revocations } from '../store/index.js'
import { displayText } from '../ui/index.js'
import { readClientMetadata } from './metadata.js'
import { createClient } from './registration.js'
import { endAndRemoveClient } from './state.js'

export interface CreatedResource {
  readonly resource: Resource
  /** By which its resource server proves itself at /introspect: shown now or never. */
  readonly clientSecret: string
  readonly warnings: readonly string[]
}

/**
 * Registers an API, and the client as which its resource server identifies itself to us: a confidential one that can get
 * no tokens.
 *
 * @throws {InvalidValueError} {ConflictError} when the identifier is taken
 */
export async function createResource(
  ctx: Context,
  identifier: string,
  settings: ResourceSettings,
  by: By,
): Promise<CreatedResource> {
  checkIdentifier(identifier, ctx.config.server.issuer)
  const values = applySettings(newResource, settings)
  if (await resources.find(ctx.db, identifier)) throw isTaken(identifier)
  if (values.signingAlg) await ctx.keys.ensure([values.signingAlg])

  const metadata = readClientMetadata(
    { client_name: `${displayText(values.name ?? identifier, 180)} resource server`, grant_types: [] },
    { grantTypes: [], authenticationMethods: ['client_secret_basic'], addresses: ctx.outbound.problemOf },
  )
  try {
    const { client, clientSecret = '' } = await createClient(ctx, metadata, by, async (tx, { clientId, createdAt }) => {
      await resources.create(tx, { ...values, identifier, clientId, createdAt, updatedAt: createdAt })
      const { acceptsBasic } = values
      const detail = { resource: identifier, ...(acceptsBasic ? { acceptsBasic } : {}) }
      const event = { ...actOf(by), type: 'resource.created', clientId, detail }
      await auditEvents.create(tx, newEvent(ctx, event))
    })
    await ctx.resources.refresh()
    const resource = await findResource(ctx, identifier)
    ctx.clients.drop(client.clientId)
    return { resource, clientSecret, warnings: await sharedScopeWarnings(ctx, identifier, resource.scopes) }
  } catch (error) {
    // Of two at once, the client's generated name cannot be what is taken.
    if (error instanceof ConflictError || isUniqueViolation(error)) throw isTaken(identifier)
    throw error
  }
}

/**
 * Deletes the API, its scopes and roles, and the client of its resource server. No token is issued for it any more; what
 * clients and grants hold of its scopes is worth nothing.
 *
 * @throws {NotFoundError} {ConflictError} while a gateway stands in front of it
 */
export async function deleteResource(ctx: Context, identifier: string, by: By): Promise<Resource> {
  const resource = await findResource(ctx, identifier)
  await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const [gateway] = await gateways.list(tx, identifier)
    if (gateway) throw new ConflictError(`The gateway ${gateway.name} is for ${identifier}: delete or change it first.`)
    await resources.remove(tx, identifier)
    const event = {
      ...actOf(by),
      type: 'resource.deleted',
      clientId: resource.clientId,
      detail: { resource: identifier },
    }
    await auditEvents.create(tx, newEvent(ctx, event))
    await endAndRemoveClient(ctx, tx, resource.clientId, by)
  })
  ctx.clients.drop(resource.clientId)
  await Promise.all([ctx.resources.refresh(), ctx.revocations.refresh()])
  return resource
}

function isTaken(identifier: string): ConflictError {
  return new ConflictError(`There is a resource ${identifier} already.`)
}
