import type { FastifyInstance, FastifyRequest } from 'fastify'
import { InvalidRequestError, MissingTokenError } from '../oauth/errors.js'
import { decodeOnce } from '../platform/percent.js'
import { type Register, registerWithAllMethods } from './methods.js'
import { noStore } from './security-headers.js'
import { sendBearerError } from './send-error.js'

/** A scope for what an access token opens: errors are RFC 6750 §3 challenges, and nothing is ever stored. */
export function bearerScope(app: FastifyInstance, register: Register): void {
  app.register(async (scope) => {
    scope.setErrorHandler(sendBearerError)
    scope.addHook('onRequest', (_request, reply, done) => {
      noStore(reply)
      done()
    })
    await registerWithAllMethods(scope, register)
  })
}

const credentials = /^Bearer +([\w.~+/-]+=*)$/i
const inQuery = /[?&]access_token=/

/**
 * A name may be written by its bytes, as at `clientEndpoint`.
 *
 * @throws {InvalidRequestError} for a token in the address, where logs keep it. RFC 6750 §2.3 (attack 73)
 */
export function refuseTokenInQuery({ url }: Pick<FastifyRequest, 'url'>): void {
  if (!url.includes('?')) return
  const decoded = decodeOnce(url)
  if (!inQuery.test(url) && !inQuery.test(decoded)) return
  throw new InvalidRequestError('The access token belongs into the Authorization header, never into the address.', {
    reason: 'secret_in_query',
  })
}

/**
 * The token in the Authorization header. RFC 6750 §2.1.
 *
 * @throws {MissingTokenError} where there is none, or another scheme's credentials
 * @throws {InvalidRequestError} where it is malformed, or in the address
 */
export function bearerToken({ headers, url }: Pick<FastifyRequest, 'headers' | 'url'>): string {
  const { authorization = '' } = headers
  refuseTokenInQuery({ url })
  if (!/^Bearer(?: |$)/i.test(authorization)) {
    throw new MissingTokenError('An access token is missing.', { reason: 'token_missing' })
  }
  const [, token] = credentials.exec(authorization) ?? []
  if (token !== undefined) return token
  throw new InvalidRequestError('The Authorization header holds no token.', { reason: 'token_malformed' })
}
