import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Context } from '../../context.js'
import {
  checkCsrfToken,
  clearCookie,
  csrfToken,
  encodedBody,
  encodedQuery,
  originOf,
  PageError,
  readCookie,
  seeOther,
  sendPage,
} from '../../http/index.js'
import { endSession, findSession } from '../../identity/index.js'
import { addressOf, destinationHost, strangerOf } from '../../interaction/index.js'
import { readParameters } from '../../oauth/index.js'
import type { Session } from '../../store/index.js'
import { errorTexts } from '../../ui/index.js'
import { LogoutPage, SignedOutPage, StillSignedInPage } from './logout.page.js'
import {
  isOfSession,
  type LogoutRequest,
  readLogoutRequest,
  redirectAfterLogout,
  refused,
  sameAgain,
} from './logout-request.js'

/** Bytes of a form: it may hold an ID token of 32 KiB, encoded. */
const longestRequest = 96 * 1024

/** Bytes of an address that every server and browser takes. */
const longestQuery = 6_000

/** `GET` and `POST /logout`, the `end_session_endpoint`, and the question that it asks. RP-Initiated Logout §2, §3. */
export function logoutRoutes(app: FastifyInstance, ctx: Context): void {
  app.get('/logout', (request, reply) => logout(ctx, request, reply, encodedQuery(request)))

  app.post('/logout', (request, reply) => {
    // Two places for parameters are two readings of one request (attack 9).
    if (encodedQuery(request) !== '') throw refused(ctx, 'parameters_in_query_and_body')
    return logout(ctx, request, reply, encodedBody(request))
  })

  // What was asked for stands in the address of the question, but for the ID token; its form says the answer alone.
  app.get('/logout/confirm', (request, reply) => ask(ctx, request, reply))
  app.post('/logout/confirm', (request, reply) => answer(ctx, request, reply))
}

async function logout(
  ctx: Context,
  request: FastifyRequest,
  reply: FastifyReply,
  encoded: string,
): Promise<FastifyReply> {
  if (encoded.length > longestRequest) throw refused(ctx, 'request_too_long')
  // Without the database nobody is redirected anywhere.
  ctx.assertFresh()
  const asked = await readLogoutRequest(ctx, encoded)
  const question = new URLSearchParams(fieldsOf(asked)).toString()
  if (question.length > longestQuery) throw refused(ctx, 'request_too_long')
  if (request.method === 'POST' && bringsNoCookie(request)) {
    const again = sameAgain(encoded)
    const path = again.length <= longestQuery ? `/logout?${again}` : `/logout/confirm?${question}`
    return seeOther(reply, addressOf(ctx, path))
  }

  const session = await findSession(ctx, readCookie(request, 'session'), originOf(request))
  if (!session) return sendBack(ctx, request, reply, asked, asked.hint !== undefined && !asked.client?.selfRegistered)
  // §2: the user is asked, but where an application of our own wants what it began itself. Whoever else comes with the ID
  // token of somebody must not end what another has here.
  if (asked.client?.firstParty && isOfSession(ctx, asked, session)) return signOut(ctx, request, reply, asked, session)
  return seeOther(reply, addressOf(ctx, `/logout/confirm${question === '' ? '' : `?${question}`}`))
}

/**
 * A browser leaves our cookies out of a form that another site posts (SameSite=Lax): as a link they come along. Until then it
 * is not known whether somebody is signed in, so nothing is said of it and no cookie is cleared (logout CSRF).
 */
function bringsNoCookie(request: FastifyRequest): boolean {
  return readCookie(request, 'session') === undefined && readCookie(request, 'browser') === undefined
}

async function ask(ctx: Context, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const asked = await readLogoutRequest(ctx, encodedQuery(request))
  const session = await findSession(ctx, readCookie(request, 'session'), originOf(request))
  return session ? sendQuestion(ctx, reply, asked, session) : sendBack(ctx, request, reply, asked, false)
}

async function answer(ctx: Context, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  if (bringsNoCookie(request)) {
    const query = encodedQuery(request)
    return seeOther(reply, addressOf(ctx, `/logout/confirm${query === '' ? '' : `?${query}`}`))
  }
  const { csrf_token, action } = readParameters(encodedBody(request))
  const asked = await readLogoutRequest(ctx, encodedQuery(request))
  const session = await findSession(ctx, readCookie(request, 'session'), originOf(request))
  // It ended meanwhile: nothing is left to do, and nobody was asked where to go.
  if (!session) return sendBack(ctx, request, reply, asked, false)
  if (!checkCsrfToken(formKey(ctx), session.id, formOf(asked), csrf_token)) {
    const { message, advice } = errorTexts.formNotOurs
    const actions = [{ href: addressOf(ctx, '/account'), label: 'Your account' }]
    throw new PageError(message, { status: 403, reason: 'form_token_wrong', advice, actions })
  }
  if (action === 'yes') return signOut(ctx, request, reply, asked, session)
  if (action !== 'no') return sendQuestion(ctx, reply, asked, session)
  return sendPage(reply, 200, <StillSignedInPage account={addressOf(ctx, '/account')} />)
}

/** Its form is of this session and this request. */
function sendQuestion(ctx: Context, reply: FastifyReply, asked: LogoutRequest, session: Session): FastifyReply {
  const { client, redirectUri } = asked
  const page = (
    <LogoutPage
      csrfToken={csrfToken(formKey(ctx), session.id, formOf(asked))}
      account={session.user}
      clientName={client && (client.clientName ?? client.clientId)}
      stranger={client && strangerOf(client)}
      redirectHost={redirectUri === undefined ? undefined : destinationHost(redirectUri)}
    />
  )
  return sendPage(reply, 200, page, { formAction: redirectUri === undefined ? [] : [redirectUri] })
}

/** What hangs on the session ends with it, and whoever is to hear of that does, by the same statement. */
async function signOut(
  ctx: Context,
  request: FastifyRequest,
  reply: FastifyReply,
  asked: LogoutRequest,
  session: Session,
): Promise<FastifyReply> {
  await endSession(ctx, session, 'logout_requested', originOf(request))
  return sendBack(ctx, request, reply, asked, true)
}

/**
 * @param follows whether the browser goes on by itself: where anybody could have made the request, it is the user who follows
 *   a link (open redirect)
 */
function sendBack(
  ctx: Context,
  request: FastifyRequest,
  reply: FastifyReply,
  asked: LogoutRequest,
  follows: boolean,
): FastifyReply {
  if (readCookie(request, 'session') !== undefined) clearCookie(reply, 'session')
  const { redirectUri, state } = asked
  if (redirectUri === undefined) return sendPage(reply, 200, <SignedOutPage account={addressOf(ctx, '/account')} />)
  const next = redirectAfterLogout(redirectUri, state)
  if (follows) return seeOther(reply, next)
  const onward = { href: next, host: destinationHost(redirectUri) }
  return sendPage(reply, 200, <SignedOutPage account={addressOf(ctx, '/account')} onward={onward} />)
}

function fieldsOf({ client, redirectUri, state }: LogoutRequest): Record<string, string> {
  return {
    ...(client ? { client_id: client.clientId } : {}),
    ...(redirectUri === undefined ? {} : { post_logout_redirect_uri: redirectUri }),
    ...(state === undefined ? {} : { state }),
  }
}

function formOf(asked: LogoutRequest): string {
  return `logout ${JSON.stringify(fieldsOf(asked))}`
}

const formKey = (ctx: Context): Buffer => ctx.secrets.current.derive('form token')
