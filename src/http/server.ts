import type { Socket } from 'node:net'
import formbody from '@fastify/formbody'
import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyRequest, LogController } from 'fastify'
import type { OAuthError } from '../oauth/errors.js'
import type { Config } from '../platform/config/index.js'
import type { Logger } from '../platform/log.js'
import type { Random } from '../platform/random.js'
import { type AddressScreen, screenAddresses } from './address-screen.js'
import { createDirectAnswers, decorateDirect } from './direct.js'
import { decorateFarewells, prepareDrain } from './drain.js'
import { bodyTypeOf } from './json-body.js'
import { routeAllMethods } from './methods.js'
import { createNodeServer } from './node-server.js'
import { decoratePages, type PageSettings } from './pages.js'
import { HttpError } from './refusal.js'
import { type Encoded, trustedProxies } from './request.js'
import { refusalOf } from './screening.js'
import { securityHeaders } from './security-headers.js'
import { sendAnyError } from './send-error.js'

export interface HttpServerOptions {
  readonly config: Config
  readonly log: Logger
  readonly random: Random
  /** Hears of what is refused. */
  readonly audit?: { readonly refused: (error: OAuthError, about: { readonly ip?: string | undefined }) => void }
}

/** What features have to say of every request. */
export interface HttpServerScreens {
  readonly screenAddress?: AddressScreen | undefined
}

/**
 * 64 KiB: the largest body that any endpoint reads but /leaks, where it is 1 MiB of who proved to be somebody, and 256 KiB of who
 * only names a key that the body is signed with, of a bounded number at once.
 */
const BODY_LIMIT = 64 * 1024

/**
 * The Fastify instance that the scopes register in: limits on what strangers may send and how long they may take, bodies
 * and queries left as text, security headers on every response, and an answer for what no route knows.
 */
export function createHttpServer(
  { config, log, random, audit }: HttpServerOptions,
  { screenAddress = () => undefined }: HttpServerScreens = {},
): FastifyInstance {
  const { trustProxy, issuer } = config.server
  const headers = securityHeaders(issuer)
  const trusted = trustProxy ? trustedProxies(trustProxy) : undefined
  const onRefusal: PageSettings['onRefusal'] = audit && ((error, ip) => audit.refused(error, { ip }))
  const direct = createDirectAnswers({
    ...{ log, random, issuer, trusted, headers, bodyLimit: BODY_LIMIT, onRefusal },
    routing: (request, response) => app.routing(request, response),
  })
  const options = {
    loggerInstance: quiet(log),
    // One line per request is ours, below: Fastify's would hold the address with its query.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    // A caller must not choose what the audit trail is searched by.
    requestIdHeader: false as const,
    genReqId: () => random.uuid(),
    trustProxy: trusted ?? false,
    bodyLimit: BODY_LIMIT,
    // A request that arrives on an open connection is served to the end.
    return503OnClosing: false,
    routerOptions: {
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
      caseSensitive: true,
      // The id of a client may be a URL of 255 characters, of which three are for each slash.
      maxParamLength: 800,
      // The rules of OAuth for repeated, empty and malformed parameters are in `readParameters`.
      querystringParser: (encoded: string) => ({ encoded }),
    },
    frameworkErrors: (error: Error, request: FastifyRequest, reply: Parameters<typeof sendAnyError>[2]) => {
      reply.headers(headers)
      const refusal = screenAddress(request) ?? Promise.resolve(error)
      void refusal.then((refused) => sendAnyError(refused, request, reply))
    },
    clientErrorHandler: refuseUnreadable,
    serverFactory: () => createNodeServer(direct.listener, config.server),
  }
  const app = fastify(options)
  decorateDirect(app, direct)

  routeAllMethods(app)
  decoratePages(app, { random, issuer, onRefusal })
  app.removeAllContentTypeParsers()
  app.register(formbody, { bodyLimit: BODY_LIMIT, parser: (encoded: string): Encoded => ({ encoded }) })

  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers)
    done()
  })
  screenAddresses(app, screenAddress)
  app.addHook('onRequest', (request, _reply, done) => {
    // Before anybody looks at its body: what is not there takes no media type.
    done(request.is404 ? nothingHere() : undefined)
  })
  decorateFarewells(app)
  // Fastify has answers say `Connection: close` from here on.
  const drain = prepareDrain(app.server)
  app.addHook('preClose', async () => {
    direct.stop()
    await drain()
  })
  // After the hooks of the scopes, so that what is refused here is refused in their form and with their CORS headers.
  app.addHook('preParsing', (request, _reply, payload, done) => {
    done(refusalOf(request.raw, bodyTypeOf(request.server)) ?? null, payload)
  })
  app.addHook('onResponse', (request, reply, done) => {
    const { method, routeOptions } = request
    const ms = Math.round(reply.elapsedTime * 10) / 10
    request.log.info({ method, route: routeOptions.url ?? 'unknown', status: reply.statusCode, ms }, 'request')
    done()
  })
  app.setErrorHandler(sendAnyError)
  app.setNotFoundHandler((request, reply) => {
    sendAnyError(nothingHere(), request, reply)
  })
  return app
}

function nothingHere(): HttpError {
  return new HttpError(404, 'There is nothing at this address.', { reason: 'not_found' })
}

/** Fastify's own lines (where it listens) are ours to write. Its type of a logger is narrower than pino's. */
function quiet(log: Logger): FastifyBaseLogger {
  return log
}

/** What HTTP's parser could not read, or did not get in time. There is no request to answer, only a connection. */
export function refuseUnreadable(error: Error, socket: Socket): void {
  const code = 'code' in error ? error.code : undefined
  if (code === 'ECONNRESET' || socket.destroyed) return
  if (socket.writable) {
    const [status, message] = unreadable(code)
    const body = JSON.stringify({ error: 'invalid_request', error_description: message })
    socket.write(
      `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nCache-Control: no-store\r\n` +
        `X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n${body}`,
    )
  }
  // Not kept for another request: where this one ended is not known (attack 123).
  socket.destroySoon()
}

function unreadable(code: unknown): readonly [status: string, message: string] {
  if (code === 'HPE_HEADER_OVERFLOW') return ['431 Request Header Fields Too Large', 'The header is too large.']
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return ['408 Request Timeout', 'The request took too long to arrive.']
  return ['400 Bad Request', 'The request is malformed.']
}
