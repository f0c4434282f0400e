import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Context } from '../../context.js'
import { encodedBody, encodedQuery, originOf, PageError, readCookie, seeOther } from '../../http/index.js'
import { findSession } from '../../identity/index.js'
import { addressOf, findSituation, startInteraction, stepAddress } from '../../interaction/index.js'
import { expectationOf, LoginRequiredError, OAuthError } from '../../oauth/index.js'
import { errorTexts } from '../../ui/index.js'
import {
  demandsOfRefused,
  openChannel,
  type RequestChannel,
  readAuthorizationRequest,
} from './authorization-request.js'
import { authorizationEnding } from './respond.js'
import { sendError } from './response-channel.js'

/** Bytes of a form: it may hold a request object or an ID token of 32 KiB, encoded. Node refuses a longer header by itself. */
const longestRequest = 96 * 1024

/** Bytes of an address that every server and browser takes. */
const longestQuery = 6_000

/** `GET` and `POST /authorize`. RFC 6749 §3.1. */
export function authorizeRoute(app: FastifyInstance, ctx: Context): void {
  app.get('/authorize', (request, reply) => authorize(ctx, request, reply, encodedQuery(request)))

  app.post('/authorize', (request, reply) => {
    // Two places for parameters are two readings of one request (attack 9).
    if (encodedQuery(request) !== '') {
      const { message, advice } = errorTexts.invalidRequest
      throw new PageError(message, { reason: 'parameters_in_query_and_body', advice })
    }
    return authorize(ctx, request, reply, encodedBody(request))
  })
}

async function authorize(
  ctx: Context,
  request: FastifyRequest,
  reply: FastifyReply,
  encoded: string,
): Promise<FastifyReply> {
  // Bounded, since a part of it is stored until its user answers.
  if (encoded.length > longestRequest) {
    const { message, advice } = errorTexts.invalidRequest
    throw new PageError(message, { reason: 'request_too_long', advice })
  }
  // Without the database nobody is redirected anywhere, not even with an error.
  ctx.assertFresh()
  const channel = await openChannel(ctx, encoded, originOf(request))
  try {
    const { client, demands } = await readAuthorizationRequest(ctx, channel)
    const sessionCookie = readCookie(request, 'session')
    // A browser leaves our cookies out of a form that another site posts (SameSite=Lax): as a link they come along.
    const withoutCookies = sessionCookie === undefined && readCookie(request, 'browser') === undefined
    // What has no meaning here stays out of the address: it may be a secret that was posted by mistake (attack 73).
    const { restart } = demands
    if (request.method === 'POST' && withoutCookies && restart.length <= longestQuery) {
      return seeOther(reply, addressOf(ctx, restart))
    }

    const origin = originOf(request)
    const session = await findSession(ctx, sessionCookie, origin)
    const { step } = await findSituation(ctx, { demands, client, session })
    if (step.kind === 'error') throw step.error
    if (step.kind === 'respond' && session) {
      const again = () => authorize(ctx, request, reply, encoded)
      return await authorizationEnding.grant(ctx, reply, { demands, client, session, scope: step.scope, origin, again })
    }
    const id = await startInteraction(ctx, request, reply, demands)
    return seeOther(reply, stepAddress(ctx, id, step.kind === 'consent' ? 'consent' : 'login'))
  } catch (error) {
    if (!isForClient(error)) throw error
    const { code, reason, field } = error
    request.log.info({ error: code, reason, field, ...expectationOf(reason) }, 'authorization request refused')
    ctx.audit.refused(error, { clientId: channel.client.clientId, ip: originOf(request).ip })
    if (await waitsForLogin(ctx, request, channel, error)) {
      if (isSilent(channel)) return sendError(ctx, reply, channel, untold(reason))
      const id = await startInteraction(ctx, request, reply, demandsOfRefused(channel, error))
      return seeOther(reply, stepAddress(ctx, id, 'login'))
    }
    return sendError(ctx, reply, channel, error)
  }
}

/**
 * RFC 9700 §4.11.2: whoever registered itself may have done so to have browsers sent on, by an error, to a page that looks like
 * ours. So its errors go nowhere before somebody signed in. A silent request is answered: it asks whether somebody is.
 */
async function waitsForLogin(ctx: Context, request: FastifyRequest, { client }: RequestChannel, error: OAuthError) {
  if (!client.selfRegistered || error instanceof LoginRequiredError) return false
  return (await findSession(ctx, readCookie(request, 'session'), originOf(request))) === undefined
}

/** It must not be shown a page (OIDC Core §3.1.2.1), and is told no more than one without a fault: that nobody signed in. */
function isSilent({ parameters: { prompt } }: RequestChannel): boolean {
  return typeof prompt === 'string' && prompt.split(' ').includes('none')
}

function untold(reason: string): LoginRequiredError {
  return new LoginRequiredError('The user has to sign in.', { reason })
}

/**
 * Errors of the request go to its client. Ours do not: a person is better served by a page that says so, and a redirect
 * would tell the application something that may be untrue a second later.
 */
function isForClient(error: unknown): error is OAuthError {
  return error instanceof OAuthError && !(error instanceof PageError) && error.status < 429
}
