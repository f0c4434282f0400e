import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Context } from '../../context.js'
import { asOAuthError, encodedBody, originOf, readCookie, seeOther, sendPage, writeCookie } from '../../http/index.js'
import {
  type Authenticated,
  authenticateByPassword,
  findSessionAnywhere,
  rememberDevice,
  startSession,
} from '../../identity/index.js'
import { readParameters } from '../../oauth/index.js'
import type { LoginFailure } from '../../ui/index.js'
import { type Ending, openInteraction, rememberFailedLogin, stepAddress } from '../interaction.js'
import { formToken, hostOf, openVisit, proceed, requireFormToken, type Visit, visitAs } from '../visit.js'
import { LoginPage, type LoginPageProps } from './login.page.js'

interface Address {
  readonly Params: { readonly id: string }
}

/** The step in which a person proves who they are. */
export function loginRoute(app: FastifyInstance, ctx: Context, ending: Ending): void {
  const url = '/interaction/:id/login'

  app.get<Address>(url, async (request, reply) => {
    const visit = await openVisit(ctx, request, request.params.id)
    // Signed in by another tab, or the back button was used.
    if (visit.step.kind !== 'login') return proceed(ctx, reply, visit, ending)
    return sendLogin(ctx, reply, 200, visit, { failure: visit.failedLogin && 'wrong_credentials' })
  })

  app.post<Address>(url, async (request, reply) => {
    const { csrf_token, username, password } = readParameters(encodedBody(request))
    const open = await openInteraction(ctx, request, request.params.id)
    requireFormToken(ctx, open, 'login', 'login', csrf_token)
    // Nothing was filled in: the stage is repeated (attack 26).
    if (typeof username !== 'string' || typeof password !== 'string') {
      return seeOther(reply, stepAddress(ctx, open.id, 'login'))
    }

    const origin = originOf(request)
    const { clientId } = open.demands
    const device = readCookie(request, 'device')
    let authenticated: Authenticated | undefined
    try {
      authenticated = await authenticateByPassword(ctx, { username, password, clientId, device }, origin)
    } catch (error) {
      return sendPaused(ctx, request, reply, error, username)
    }
    const previous = authenticated && (await findSessionAnywhere(ctx, readCookie(request, 'session')))
    const started =
      authenticated &&
      (await startSession(ctx, {
        ...authenticated,
        previous,
        origin,
        clientId,
        interaction: open.row,
      }))
    if (!started) {
      await rememberFailedLogin(ctx, open, username)
      return seeOther(reply, stepAddress(ctx, open.id, 'login'))
    }
    const { session, cookie } = started
    writeCookie(reply, 'session', cookie)
    // A login makes the browser known, also anew: what was stolen before ends with its own time.
    writeCookie(reply, 'device', rememberDevice(ctx, device, session.user.email, session.authTime), {
      maxAge: ctx.config.sessions.knownDeviceLifetime,
    })
    return proceed(ctx, reply, await visitAs(ctx, open, session, origin, session.authTime), ending)
  })

  /** The page again where nothing could be checked: too many attempts, or too many hashes that wait. */
  async function sendPaused(
    ctx: Context,
    request: FastifyRequest<Address>,
    reply: FastifyReply,
    thrown: unknown,
    username: string,
  ): Promise<FastifyReply> {
    const { status, reason, retryAfter, headers } = asOAuthError(thrown)
    const busy = reason === 'password_queue_full'
    if (!busy && status !== 429) throw thrown
    request.log.info({ reason }, 'login refused')
    if (retryAfter !== undefined) reply.header('Retry-After', retryAfter)
    reply.headers(headers)
    const visit = await openVisit(ctx, request, request.params.id)
    return sendLogin(ctx, reply, status, visit, { failure: busy ? 'busy' : 'held_back', retryAfter, username })
  }
}

interface Shown {
  readonly failure?: LoginFailure | undefined
  readonly retryAfter?: number | undefined
  readonly username?: string
}

function sendLogin(
  ctx: Context,
  reply: FastifyReply,
  status: number,
  visit: Visit,
  { failure, retryAfter, username }: Shown,
): FastifyReply {
  const { session, step, demands, failedLogin } = visit
  const reauthenticate = step.kind === 'login' && step.reason === 'reauthenticate'
  const page = (
    <LoginPage
      {...whereTo(visit)}
      csrfToken={formToken(ctx, visit, 'login')}
      username={
        username ?? failedLogin?.username ?? demands.loginHint ?? (reauthenticate ? session?.user.email : undefined)
      }
      failure={failure}
      retryAfter={retryAfter}
      reauthenticate={reauthenticate}
    />
  )
  return sendPage(reply, status, page, { formAction: demands.clientId === undefined ? [] : [demands.destination] })
}

/** Which application the page speaks of; a page of ours needs no name. */
function whereTo({ client, demands }: Visit): Pick<LoginPageProps, 'clientName' | 'clientHost'> {
  if (client === undefined) return {}
  return {
    // Who registered itself may call itself anything (attack 98).
    clientName: client.selfRegistered ? undefined : (client.clientName ?? client.clientId),
    clientHost: hostOf(client, demands.destination),
  }
}
