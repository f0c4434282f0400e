import { actOf, type By, newEvent } from '../audit/index.js'
import { createClient, endAndRemoveClient, readClientMetadata } from '../clients/index.js'
import type { Context } from '../context.js'
import { ConflictError, InvalidValueError, NotFoundError } from '../platform/administration-errors.js'
import { findResource } from '../resources/index.js'
import {
  type AcceptedCredential,
  auditEvents,
  type Gateway,
  gateways,
  isUniqueViolation,
  revocations,
} from '../store/index.js'

/** What a gateway can be told to accept. */
export const acceptedCredentials: readonly AcceptedCredential[] = ['access-token', 'api-key', 'basic']

/** Seconds. What a gateway passes on cannot be taken back, so it is short. */
export const longestTokenLifetime = 60

/** What is given; when a gateway is changed, the rest stays. */
export interface GatewaySettings {
  /** The identifier of the API behind it. */
  readonly resource?: string | undefined
  readonly scope?: readonly string[] | undefined
  readonly accept?: readonly string[] | undefined
  readonly tokenLifetime?: number | undefined
  readonly forwardsAddress?: boolean | undefined
}

export interface CreatedGateway {
  readonly gateway: Gateway
  /** By which it proves itself at /forward-auth: shown now or never. */
  readonly clientSecret: string
}

type Values = Pick<Gateway, 'resource' | 'scope' | 'accept' | 'tokenLifetime' | 'forwardsAddress'>

const unsettled: Values = {
  resource: '',
  scope: [],
  accept: ['access-token', 'api-key'],
  tokenLifetime: longestTokenLifetime,
  forwardsAddress: false,
}

/**
 * Registers a gateway, and the client as which it identifies itself to us: a confidential one that can get no tokens.
 *
 * @throws {InvalidValueError} {NotFoundError} {ConflictError} when the name is taken
 */
export async function createGateway(
  ctx: Context,
  name: string,
  settings: GatewaySettings,
  by: By,
): Promise<CreatedGateway> {
  // A segment of an address, which proxies must not have two spellings for.
  if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(name)) {
    throw new InvalidValueError(
      'The name is not 1 to 64 of a-z, 0-9, - and _, of which the first is a letter or digit.',
    )
  }
  const values = await checkSettings(ctx, unsettled, settings)
  if (await gateways.find(ctx.db, name)) throw isTaken(name)
  const metadata = readClientMetadata(
    { client_name: `${name} gateway`, grant_types: [] },
    { grantTypes: [], authenticationMethods: ['client_secret_basic'], addresses: ctx.outbound.problemOf },
  )
  try {
    const { client, clientSecret = '' } = await createClient(ctx, metadata, by, async (tx, { clientId, createdAt }) => {
      await gateways.create(tx, { ...values, name, clientId, createdAt, updatedAt: createdAt })
      const event = { ...actOf(by), type: 'gateway.created', clientId, detail: { gateway: name, ...auditedOf(values) } }
      await auditEvents.create(tx, newEvent(ctx, event))
    })
    ctx.clients.drop(client.clientId)
    await ctx.gateways.refresh()
    return { gateway: await findGateway(ctx, name), clientSecret }
  } catch (error) {
    if (error instanceof ConflictError || isUniqueViolation(error)) throw isTaken(name)
    throw error
  }
}

/** Changes what is given, from the next request on. @throws {NotFoundError} {InvalidValueError} */
export async function updateGateway(ctx: Context, name: string, settings: GatewaySettings, by: By): Promise<Gateway> {
  await ctx.db.transaction(async (tx) => {
    const before = await gateways.findForUpdate(tx, name)
    if (!before) throw isUnknown(name)
    const values = await checkSettings(ctx, before, settings)
    await gateways.update(tx, { ...before, ...values, updatedAt: ctx.clock.now() })
    const detail = { gateway: name, ...auditedOf(values) }
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'gateway.updated', detail }))
  })
  await ctx.gateways.refresh()
  return findGateway(ctx, name)
}

/** Deletes the gateway and its client: whatever it asks is refused. @throws {NotFoundError} */
export async function deleteGateway(ctx: Context, name: string, by: By): Promise<Gateway> {
  const gateway = await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const gateway = await gateways.findForUpdate(tx, name)
    if (!gateway) throw isUnknown(name)
    const { clientId } = gateway
    await gateways.remove(tx, name)
    const event = { ...actOf(by), type: 'gateway.deleted', clientId, detail: { gateway: name } }
    await auditEvents.create(tx, newEvent(ctx, event))
    await endAndRemoveClient(ctx, tx, clientId, by)
    return gateway
  })
  ctx.clients.drop(gateway.clientId)
  await Promise.all([ctx.gateways.refresh(), ctx.revocations.refresh()])
  return gateway
}

/** One gateway as it is in the database. @throws {NotFoundError} */
export async function findGateway(ctx: Context, name: string): Promise<Gateway> {
  const gateway = await gateways.find(ctx.db, name)
  if (!gateway) throw isUnknown(name)
  return gateway
}

export function listGateways(ctx: Context): Promise<readonly Gateway[]> {
  return gateways.list(ctx.db)
}

/** What an administrator sees of a gateway. */
export function describeGateway(gateway: Gateway): Record<string, unknown> {
  return {
    name: gateway.name,
    audience: gateway.resource,
    scope: gateway.scope.join(' '),
    accept: gateway.accept,
    token_lifetime: gateway.tokenLifetime,
    forwards_address: gateway.forwardsAddress,
    client_id: gateway.clientId,
    created_at: gateway.createdAt.toISOString(),
    updated_at: gateway.updatedAt.toISOString(),
  }
}

async function checkSettings(ctx: Context, before: Values, settings: GatewaySettings): Promise<Values> {
  const { resource = before.resource, tokenLifetime = before.tokenLifetime } = settings
  const scope = [...new Set(settings.scope ?? before.scope)]
  const accept = settings.accept ? settings.accept.map(checkAccepted) : before.accept
  if (scope.length === 0) throw new InvalidValueError('A gateway requires at least one scope.')
  const api = await findResource(ctx, resource)
  const owned = api.scopes.map(({ name }) => name)
  const missing = scope.filter((name) => !owned.includes(name))
  if (missing.length > 0) throw new InvalidValueError(`${resource} does not have the scope ${missing.join(' ')}.`)
  if (accept.length === 0) throw new InvalidValueError('A gateway accepts at least one kind of credential.')
  const isAsked = settings.accept !== undefined || settings.resource !== undefined
  if (isAsked && accept.includes('basic') && !api.acceptsBasic) {
    throw new InvalidValueError(
      `${resource} has Basic off: \`ostiary resource update ${resource} --accepts-basic\` switches it on.`,
    )
  }
  if (!Number.isInteger(tokenLifetime) || tokenLifetime < 1 || tokenLifetime > longestTokenLifetime) {
    throw new InvalidValueError(`What a gateway passes on lives for 1 to ${longestTokenLifetime} seconds.`)
  }
  const { forwardsAddress = before.forwardsAddress } = settings
  return { resource, scope, accept: [...new Set(accept)], tokenLifetime, forwardsAddress }
}

function checkAccepted(text: string): AcceptedCredential {
  const found = acceptedCredentials.find((each) => each === text)
  if (found) return found
  throw new InvalidValueError(`A gateway accepts ${acceptedCredentials.join(', ')}; not ${text.slice(0, 40)}.`)
}

function auditedOf({ resource, scope, accept, tokenLifetime, forwardsAddress }: Values): Record<string, unknown> {
  return { resource, scope: scope.join(' '), accept: accept.join(' '), lifetime: tokenLifetime, forwardsAddress }
}

function isTaken(name: string): ConflictError {
  return new ConflictError(`There is a gateway ${name} already.`)
}

function isUnknown(name: string): NotFoundError {
  return new NotFoundError('gateway', `There is no gateway ${JSON.stringify(name.slice(0, 80))}.`)
}
