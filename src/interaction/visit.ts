import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Client, isDocumentOff } from '../clients/index.js'
import type { Context, Origin } from '../context.js'
import { checkCsrfToken, csrfToken, originOf, PageError, readCookie, seeOther } from '../http/index.js'
import { findSession } from '../identity/index.js'
import type { Session } from '../store/index.js'
import { errorTexts, type Stranger } from '../ui/index.js'
import { isLoopback } from './destination.js'
import {
  addressOf,
  type ClientDemands,
  type Ending,
  type OpenInteraction,
  type OwnDemands,
  openInteraction,
  stepAddress,
} from './interaction.js'
import { nextStepToPage, type Step } from './next-step.js'
import { findSituation, type Situation } from './situation.js'

/** A browser at one of the steps of its interaction. */
export type Visit = ClientVisit | OwnVisit

interface AnyVisit extends OpenInteraction {
  readonly session: Session | undefined
  readonly step: Step
  readonly origin: Origin
}

/** On the way to a client. */
export interface ClientVisit extends AnyVisit, Situation {
  readonly demands: ClientDemands
  readonly client: Client
}

/** On the way to a page of ours. */
export interface OwnVisit extends AnyVisit {
  readonly demands: OwnDemands
  readonly client?: undefined
}

/**
 * Reads where the request stands, from the address and the cookies alone.
 *
 * @throws {PageError} when there is nothing to go on with
 */
export async function openVisit(ctx: Context, request: FastifyRequest, id: string): Promise<Visit> {
  const [open, session] = await Promise.all([
    openInteraction(ctx, request, id),
    findSession(ctx, readCookie(request, 'session'), originOf(request)),
  ])
  return visitAs(ctx, open, session, originOf(request))
}

/** The same interaction as it stands for this session. */
export async function visitAs(
  ctx: Context,
  open: OpenInteraction,
  session: Session | undefined,
  origin: Origin,
  authenticatedAt = open.row.authenticatedAt,
): Promise<Visit> {
  const { demands } = open
  if (demands.clientId === undefined) {
    const step = nextStepToPage({ demands, authenticatedAt }, session, ctx.clock.now())
    return { ...open, demands, step, session, origin }
  }
  const client = await findEnabledClient(ctx, demands.clientId)
  const situation = await findSituation(ctx, { demands, client, session, authenticatedAt })
  return { ...open, ...situation, demands, client, session, origin }
}

/** @throws {PageError} when there is no such client, or it may do nothing */
export async function findEnabledClient(ctx: Context, clientId: string): Promise<Client> {
  const client = await ctx.clients.find(clientId)
  const isOff = client && isDocumentOff(ctx, client)
  const disabled = client?.disabledAt || ctx.revocations.find({ kind: 'client', target: clientId })?.terminal
  if (client && !disabled && !isOff) return client
  const { message, advice } = errorTexts.unknownClient
  const reason = isOff ? 'client_documents_off' : client ? 'client_disabled' : 'client_unknown'
  throw new PageError(message, { reason, advice })
}

/** Goes to what is left to do: another step, or the answer. No step knows another. */
export async function proceed(ctx: Context, reply: FastifyReply, visit: Visit, ending: Ending): Promise<FastifyReply> {
  const { id, step, session, row, origin } = visit
  if (visit.client === undefined) {
    const { page } = visit.demands
    return seeOther(reply, step.kind === 'login' ? stepAddress(ctx, id, 'login') : addressOf(ctx, page))
  }
  const { demands, client } = visit
  if (step.kind === 'error')
    return ending.refuse(ctx, reply, { client, demands, error: step.error, interaction: row, origin })
  if (step.kind === 'respond' && session) {
    const again = () => seeOther(reply, stepAddress(ctx, id, 'consent'))
    return ending.grant(ctx, reply, { demands, client, session, scope: step.scope, interaction: row, origin, again })
  }
  return seeOther(reply, stepAddress(ctx, id, step.kind === 'consent' ? 'consent' : 'login'))
}

/** The token of the step's form, for this browser, this interaction and whatever else the page was about. */
export function formToken(ctx: Context, open: OpenInteraction, form: string): string {
  return csrfToken(formKey(ctx), open.browserId, formId(open, form))
}

/**
 * Attacks 23 and 30.
 *
 * @throws {PageError} 403, with a link to the page that the form is on
 */
export function requireFormToken(
  ctx: Context,
  open: OpenInteraction,
  step: 'login' | 'consent',
  form: string,
  token: unknown,
): void {
  if (checkCsrfToken(formKey(ctx), open.browserId, formId(open, form), token)) return
  const { message, advice } = errorTexts.formNotOurs
  const actions = [{ href: stepAddress(ctx, open.id, step), label: 'Load the page again' }]
  throw new PageError(message, { status: 403, reason: 'form_token_wrong', advice, actions })
}

const formKey = (ctx: Context): Buffer => ctx.secrets.current.derive('form token')
const formId = ({ id }: OpenInteraction, form: string): string => `${id} ${form}`

/** By what the pages call a client: the host that says what it is, or the one that it is answered at. */
export function hostOf({ clientId, documentHash }: Client, destination: string): string {
  return documentHash ? new URL(clientId).host : destinationHost(destination)
}

/** What the pages call the place that the request leads to: a host that was checked, or an app's own scheme. */
export function destinationHost(destination: string): string {
  const { protocol, host } = new URL(destination)
  return /^https?:$/.test(protocol) ? host : protocol.slice(0, -1)
}

/**
 * What the pages say of a client that nobody vouches for, where no request says where it goes: all hosts that it may be answered at,
 * since the first one may be another’s (attack 98). Of one with a document the host where that is.
 */
export function strangerOf({ clientId, documentHash, selfRegistered, redirectUris }: Client): Stranger | undefined {
  if (!selfRegistered) return undefined
  if (documentHash) return { hosts: [new URL(clientId).host], fromDocument: true }
  const hosts = redirectUris.filter((uri) => !isLoopback(uri)).map(destinationHost)
  return { hosts: [...new Set(hosts)], onDevice: redirectUris.some(isLoopback) }
}
