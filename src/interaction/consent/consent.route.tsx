import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Context } from '../../context.js'
import { clearCookie, encodedBody, seeOther, sendPage } from '../../http/index.js'
import { endSession } from '../../identity/index.js'
import { AccessDeniedError, readParameters } from '../../oauth/index.js'
import type { Session } from '../../store/index.js'
import { isLoopback, rememberedPlace } from '../destination.js'
import { addressOf, type Ending, stepAddress } from '../interaction.js'
import { decisionsOn, isRefused, type OfferedScope } from '../next-step.js'
import { isOnDevice } from '../on-device.js'
import { type ClientVisit, destinationHost, formToken, hostOf, openVisit, proceed, requireFormToken } from '../visit.js'
import { clientLogoPath } from './client-logo.route.js'
import { ConsentPage, type ConsentScope } from './consent.page.js'

interface Address {
  readonly Params: { readonly id: string }
}

/** The step in which a person says what a client may do in their name. */
export function consentRoute(app: FastifyInstance, ctx: Context, ending: Ending): void {
  const url = '/interaction/:id/consent'

  app.get<Address>(url, async (request, reply) => {
    const visit = await openVisit(ctx, request, request.params.id)
    if (visit.client === undefined || visit.step.kind !== 'consent' || !visit.session)
      return proceed(ctx, reply, visit, ending)
    return sendConsent(ctx, reply, visit, visit.session)
  })

  app.post<Address>(url, async (request, reply) => {
    const { csrf_token, action, scope } = readParameters(encodedBody(request), { repeatable: ['scope'] })
    const ticked = new Set([scope ?? []].flat())
    const visit = await openVisit(ctx, request, request.params.id)
    if (visit.client === undefined) return proceed(ctx, reply, visit, ending)
    const { step, session, demands, client, origin, row, id } = visit
    if (step.kind === 'login' || step.kind === 'error' || !session) return proceed(ctx, reply, visit, ending)
    requireFormToken(ctx, visit, 'consent', formOf(visit, session), csrf_token)

    if (action === 'switch_account') {
      await endSession(ctx, session, 'account_switched', origin)
      clearCookie(reply, 'session')
      return seeOther(reply, stepAddress(ctx, id, 'login'))
    }
    // Neither button was pressed: the stage is repeated (attack 26).
    if (action !== 'allow' && action !== 'deny') return seeOther(reply, stepAddress(ctx, id, 'consent'))

    const { offered } = visit.consents
    const granted = action === 'allow' ? offered.filter(({ name, required }) => required || ticked.has(name)) : []
    if (action === 'deny' || (granted.length === 0 && offered.length > 0)) {
      const error = new AccessDeniedError('The user did not allow it.', { reason: 'user_denied' })
      return ending.refuse(ctx, reply, { client, demands, error, interaction: row, session, origin })
    }
    const names = granted.map(({ name }) => name)
    return ending.grant(ctx, reply, {
      demands,
      client,
      session,
      scope: names,
      interaction: row,
      consent: {
        decisions: decisionsOn(offered, new Set(names)),
        remembered: !isOnDevice(client, demands.destination),
        destination: rememberedPlace(client, demands.destination),
      },
      origin,
      again: () => seeOther(reply, stepAddress(ctx, id, 'consent')),
    })
  })
}

/**
 * The form is about this login, these scopes and where they hold, and what is said of a client that a stranger describes: a page
 * that shows another account, or less, or another application, decides nothing.
 */
function formOf({ consents, client }: ClientVisit, { id }: Session): string {
  return `consent ${id} ${JSON.stringify(consents.offered)} ${client.shownHash?.toString('base64url') ?? ''}`
}

function sendConsent(ctx: Context, reply: FastifyReply, visit: ClientVisit, session: Session): FastifyReply {
  const { client, demands, consents } = visit
  const page = (
    <ConsentPage
      clientName={client.clientName ?? client.clientId}
      clientHost={hostOf(client, demands.destination)}
      clientUri={client.clientUri}
      policyUri={client.policyUri}
      tosUri={client.tosUri}
      logo={client.logoUri === undefined ? undefined : addressOf(ctx, clientLogoPath(ctx, client.clientId))}
      selfRegistered={client.selfRegistered ?? false}
      fromDocument={client.documentHash !== undefined}
      account={session.user}
      csrfToken={formToken(ctx, visit, formOf(visit, session))}
      // Whether who listens on this device has the secret of a client or the key of a document, nobody can see there.
      native={isOnDevice(client, demands.destination) || isStrangerOnLoopback(client, demands.destination)}
      hasNoHost={!client.documentHash && (isLoopback(demands.destination) || !/^https:/.test(demands.destination))}
      scopes={consents.offered.map((scope) => ({
        ...wordsOf(ctx, scope),
        optional: !scope.required,
        checked: !isRefused(scope, consents.decisions),
      }))}
      redirectHost={destinationHost(demands.destination)}
    />
  )
  return sendPage(reply, 200, page, { formAction: [demands.destination] })
}

function isStrangerOnLoopback({ selfRegistered }: ClientVisit['client'], destination: string): boolean {
  return selfRegistered === true && isLoopback(destination)
}

/** The sentence of a scope, and the names of the APIs where it holds. */
function wordsOf(
  ctx: Context,
  { name, resources }: OfferedScope,
): Pick<ConsentScope, 'name' | 'sentence' | 'resource'> {
  const owners = resources.flatMap((identifier) => ctx.resources.find(identifier) ?? [])
  const sentences = owners.flatMap((owner) => owner.scopes.find((scope) => scope.name === name)?.description ?? [])
  const labels = owners.map((owner) => owner.name ?? owner.identifier)
  return { name, sentence: sentences[0] ?? '', resource: labels.length > 0 ? labels.join(' and ') : undefined }
}
