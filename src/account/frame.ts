import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { By } from '../audit/index.js'
import type { Context } from '../context.js'
import {
  checkCsrfToken,
  csrfToken,
  encodedBody,
  encodedQuery,
  HttpError,
  originOf,
  PageError,
  readCookie,
  seeOther,
} from '../http/index.js'
import { findSession } from '../identity/index.js'
import { addressOf, type OwnDemands, startInteraction, stepAddress } from '../interaction/index.js'
import { type Parameters, readParameters } from '../oauth/index.js'
import type { Session } from '../store/index.js'
import { errorTexts } from '../ui/index.js'

/** Seconds since the login after which nothing is made, rotated or ended any more without another one. */
export const recentLogin = 900

/** Seconds that somebody has at least to fill in a form: they are asked for their password before it, not after it. */
const timeForForm = 300

/** Somebody who is signed in, at one of these pages. */
export interface AccountVisit {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly session: Session
  /** What stands in place of `:id`; empty where the address has none. */
  readonly id: string
  /** The address of /account. */
  readonly base: string
  /** For the form of this page. */
  readonly csrfToken: string
  readonly query: Parameters
  readonly by: By
}

export interface AccountRoute {
  readonly url: OwnDemands['page']
  /** For what must not be done by whoever finds a browser that was left alone. */
  readonly recent?: boolean
  readonly show: (visit: AccountVisit) => Promise<FastifyReply>
  /** The form of the page, which was sent by this person from this page. */
  readonly submit?: (visit: AccountVisit, form: Parameters) => Promise<FastifyReply>
  /** Fields that may occur more than once. */
  readonly repeatable?: readonly string[]
}

type Address = { readonly Params: { readonly id?: string } }

/** Whatever stands in an address of ours. */
const idForm = /^[0-9A-Za-z-]{1,64}$/

/**
 * A page of the account. Who is signed in, how long ago, and that a form is theirs is asked here, so that no page can forget
 * it.
 */
export function accountRoute(app: FastifyInstance, ctx: Context, route: AccountRoute): void {
  const { url, recent = false, show, submit, repeatable = [] } = route

  app.get<Address>(url, async (request, reply) => {
    const page = pageOf(url, request.params.id)
    const maxAge = recent ? recentLogin - timeForForm : undefined
    const session = await findRecentSession(ctx, request, maxAge)
    if (!session) return askToSignIn(ctx, request, reply, { page, maxAge })
    return show(visitOf(ctx, request, reply, { page, session }))
  })

  if (!submit) return
  app.post<Address>(url, async (request, reply) => {
    const page = pageOf(url, request.params.id)
    const form = readParameters(encodedBody(request), { repeatable })
    const maxAge = recent ? recentLogin : undefined
    const session = await findRecentSession(ctx, request, maxAge)
    if (!session) return askToSignIn(ctx, request, reply, { page, maxAge })
    requireFormToken(ctx, { page, session }, form['csrf_token'])
    return submit(visitOf(ctx, request, reply, { page, session }), form)
  })
}

interface Where {
  readonly page: OwnDemands['page']
  readonly session: Session
}

function visitOf(ctx: Context, request: FastifyRequest, reply: FastifyReply, { page, session }: Where): AccountVisit {
  return {
    request,
    reply,
    session,
    id: (request.params as Address['Params']).id ?? '',
    base: addressOf(ctx, '/account'),
    csrfToken: csrfToken(formKey(ctx), session.id, page),
    query: readParameters(encodedQuery(request)),
    by: { actor: `user:${session.userId}`, origin: originOf(request) },
  }
}

/** The path without what was asked for behind it: a login leads back here, and nowhere else (open redirect). */
function pageOf(url: OwnDemands['page'], id: string | undefined): OwnDemands['page'] {
  if (id === undefined) return url
  if (!idForm.test(id)) throw new HttpError(404, 'There is nothing at this address.', { reason: 'id_malformed' })
  return url.replace(':id', id) as OwnDemands['page']
}

/** @returns undefined where nobody is signed in, or has been for too long */
async function findRecentSession(
  ctx: Context,
  request: FastifyRequest,
  maxAge: number | undefined,
): Promise<Session | undefined> {
  const session = await findSession(ctx, readCookie(request, 'session'), originOf(request))
  if (!session || maxAge === undefined) return session
  const age = ctx.clock.now().getTime() - session.authTime.getTime()
  return age > maxAge * 1000 ? undefined : session
}

/** By the same steps as for an application, and back to the page, as one that is read. */
async function askToSignIn(
  ctx: Context,
  request: FastifyRequest,
  reply: FastifyReply,
  { page, maxAge }: Pick<OwnDemands, 'page' | 'maxAge'>,
): Promise<FastifyReply> {
  const id = await startInteraction(ctx, request, reply, { prompt: [], maxAge, restart: page, page })
  return seeOther(reply, stepAddress(ctx, id, 'login'))
}

/**
 * The token is of one page for one session: another person's, or one from before the last sign-out, is none (attack 23).
 *
 * @throws {PageError} 403
 */
function requireFormToken(ctx: Context, { page, session }: Where, token: unknown): void {
  if (checkCsrfToken(formKey(ctx), session.id, page, token)) return
  const { message, advice } = errorTexts.formNotOurs
  const actions = [{ href: addressOf(ctx, page), label: 'Load the page again' }]
  throw new PageError(message, { status: 403, reason: 'form_token_wrong', advice, actions })
}

const formKey = (ctx: Context): Buffer => ctx.secrets.current.derive('form token')
