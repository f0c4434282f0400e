import type { Client } from '../clients/index.js'
import type { Context } from '../context.js'
import { allowedByRoles } from '../resources/index.js'
import { consents, type HeldRole, roles, type Session } from '../store/index.js'
import { ownersFor, subjectFor } from '../tokens/index.js'
import { rememberedPlace } from './destination.js'
import type { ClientDemands } from './interaction.js'
import { type Consents, nextStep, type OfferedScope, type Step } from './next-step.js'
import { isOnDevice } from './on-device.js'

/** Where a request stands: what can be granted, what was decided before, and what is left to do. */
export interface Situation {
  readonly consents: Consents
  readonly step: Step
}

export interface Standing {
  readonly demands: ClientDemands
  readonly client: Client
  readonly session: Session | undefined
  /** When its user signed in, in this interaction. */
  readonly authenticatedAt?: Date | undefined
}

const nothing: Consents = { offered: [], decisions: [] }

/** Reads what the next step depends on. */
export async function findSituation(ctx: Context, standing: Standing): Promise<Situation> {
  const { demands, client, session } = standing
  const now = ctx.clock.now()
  const onDevice = isOnDevice(client, demands.destination)
  const isAnother =
    session !== undefined &&
    demands.subject !== undefined &&
    ![demands.subject].flat().includes(subjectFor(ctx, client, session.userId))
  const waiting = { ...standing, onDevice, isAnother }
  if (!session) return { consents: nothing, step: nextStep(waiting, undefined, nothing, now) }

  const usesRoles = demands.resources.some((identifier) => ctx.resources.find(identifier)?.usesRoles)
  const [held, decisions] = await Promise.all([
    usesRoles ? roles.heldBy(ctx.db, { kind: 'user', holder: session.userId }) : [],
    onDevice ? [] : consents.list(ctx.db, session.userId, client, rememberedPlace(client, demands.destination)),
  ])
  const found = { offered: offeredScope(ctx, client, demands, held), decisions }
  return { consents: found, step: nextStep(waiting, session, found, now) }
}

/** Of the scopes asked for, those that still exist and that the user's roles allow at one of the resources. */
function offeredScope(
  ctx: Context,
  client: Client,
  { scope, resources }: ClientDemands,
  held: readonly HeldRole[],
): readonly OfferedScope[] {
  const ownersOf = ownersFor(ctx, client)
  return scope.flatMap((name) => {
    // Without refresh tokens there is no access to keep.
    if (name === 'offline_access' && !client.grantTypes.includes('refresh_token')) return []
    const owners = ownersOf(name).filter((owner) => resources.includes(owner))
    const allowing = owners.filter((owner) => allowedByRoles(ctx.resources.find(owner), [name], held).length > 0)
    if (allowing.length === 0 && (owners.length > 0 || ownersOf(name).length > 0)) return []
    return [{ name, resources: allowing, required: name === 'openid' || client.requiredScope.includes(name) }]
  })
}
