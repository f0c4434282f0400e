import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Context } from '../../context.js'
import {
  bearerToken,
  type DirectText,
  directAnswers,
  encodedBody,
  originOf,
  refuseTokenInQuery,
} from '../../http/index.js'
import { countOrigin, limitsOrigins } from '../../limits/index.js'
import { compileParameters, InvalidRequestError, OAuthError, readParameters } from '../../oauth/index.js'
import type { AddressOf } from '../bearer.js'
import { userInfo } from './userinfo.js'

const parse = compileParameters(Type.Object({ access_token: Type.Optional(Type.String()) }))

/** `GET` and `POST /userinfo`. OIDC Core §5.3.1. */
export function userInfoRoute(app: FastifyInstance, ctx: Context): void {
  // As it is asked for most: the token in the header, and no query.
  directAnswers(app).opened(app, '/userinfo', async ({ headers }, ipOf) => {
    // Every other way to it is counted by the scope.
    const fields = limitsOrigins(ctx) ? await countOrigin(ctx, { ip: ipOf() }) : undefined
    try {
      return { ...(await answer(ctx, bearerToken({ headers, url: '' }), ipOf)), fields }
    } catch (error) {
      if (fields && error instanceof OAuthError) error.headers = { ...fields, ...error.headers }
      throw error
    }
  })
  for (const method of ['GET', 'POST'] as const) {
    app.route({
      method,
      url: '/userinfo',
      async handler(request, reply) {
        const token = method === 'GET' ? bearerToken(request) : tokenOf(request)
        const { contentType, text } = await answer(ctx, token, () => originOf(request).ip)
        return reply.type(contentType).send(text)
      },
    })
  }
}

async function answer(ctx: Context, token: string, ipOf: AddressOf): Promise<DirectText> {
  const { claims, jwt } = await userInfo(ctx, token, ipOf)
  if (jwt !== undefined) return { contentType: 'application/jwt', text: jwt }
  return { contentType: 'application/json; charset=utf-8', text: JSON.stringify(claims) }
}

/** In the header, or in a form. RFC 6750 §2: in one place alone. */
function tokenOf(request: FastifyRequest): string {
  const hasForm = request.headers['content-type'] !== undefined
  const { access_token: inBody } = hasForm ? parse(readParameters(encodedBody(request))) : {}
  if (inBody === undefined) return bearerToken(request)
  refuseTokenInQuery(request)
  if (request.headers.authorization === undefined) return inBody
  throw new InvalidRequestError('The access token stands in two places.', { reason: 'token_twice' })
}
