import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Context } from '../../context.js'
import { bearerToken, originOf } from '../../http/index.js'
import { OAuthError } from '../../oauth/index.js'
import type { RegistrationToken } from '../../store/index.js'
import { deleteRegistration, openRegistration, readRegistered, replaceRegistration } from './client-configuration.js'
import { findInitialAccessToken } from './initial-access-tokens.js'
import { registerItself } from './register.js'

interface Address {
  readonly Params: { readonly id: string }
}

/** What the audit says of a refusal. */
interface Refused {
  readonly type: string
  clientId?: string
}

/** Whether clients register themselves here. Where not, there is nothing at the address (attack 92). */
export function takesRegistrations({ config }: Pick<Context, 'config'>): boolean {
  return config.registration.mode !== 'off'
}

/** `POST /register` (RFC 7591 §3), and `/register/CLIENT_ID` for what the client does with it later (RFC 7592 §2). */
export function registrationRoutes(app: FastifyInstance, ctx: Context): void {
  if (!takesRegistrations(ctx)) return

  app.post('/register', (request, reply) =>
    audited(ctx, request, { type: 'client.registration_refused' }, async () => {
      const origin = originOf(request)
      const token = await initialAccessToken(ctx, request)
      return reply.code(201).send(await registerItself(ctx, { metadata: request.body, token, origin }))
    }),
  )

  const url = '/register/:id'
  const open = (request: FastifyRequest<Address>, about: Refused) =>
    openRegistration(ctx, request.params.id, bearerToken(request), (clientId) => {
      about.clientId = clientId
    })
  /** The work is told whom it is about, and says so once it knows the client: an id that was sent may be anything. */
  const configured = <Result>(request: FastifyRequest, work: (about: Refused) => Promise<Result>) => {
    const about: Refused = { type: 'client.configuration_refused' }
    return audited(ctx, request, about, () => work(about))
  }

  app.get<Address>(url, (request) =>
    configured(request, async (about) => readRegistered(ctx, await open(request, about))),
  )

  app.put<Address>(url, (request) =>
    configured(request, async (about) =>
      replaceRegistration(ctx, await open(request, about), request.body, originOf(request)),
    ),
  )

  app.delete<Address>(url, (request, reply) =>
    configured(request, async (about) => {
      await deleteRegistration(ctx, await open(request, about), originOf(request))
      return reply.code(204).send()
    }),
  )
}

/** One that is shown is checked, also where none is needed. @throws {MissingTokenError} {InvalidTokenError} */
async function initialAccessToken(ctx: Context, request: FastifyRequest): Promise<RegistrationToken | undefined> {
  const isNeeded = ctx.config.registration.mode === 'token'
  if (!isNeeded && request.headers.authorization === undefined) return undefined
  return findInitialAccessToken(ctx, bearerToken(request))
}

/** Counts what is refused, with why: written behind, so that nobody makes us write by being refused. */
async function audited<Result>(
  ctx: Context,
  request: FastifyRequest,
  about: Refused,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof OAuthError && error.status < 500) {
      const { ip } = originOf(request)
      const { reason, field } = error
      ctx.audit.told(error)
      ctx.audit.count({ ...about, actor: 'system', reason, ip, detail: field === undefined ? undefined : { field } })
    }
    throw error
  }
}
