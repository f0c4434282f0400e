// For Express and whatever takes its middleware.

import type { AccessToken } from './access-token.js'
import { createBodies } from './body.js'
import type { ProtectOptions } from './options.js'
import { type Api, protect as protectAny } from './protect.js'
import type { BodyProblem, RequestLike } from './request.js'
import type { Requirement } from './requirement.js'
import { metadataHeaders } from './resource-metadata.js'

declare global {
  namespace Express {
    interface Request {
      /** On routes that check. */
      accessToken: AccessToken
    }
  }
}

/** What is used of a request: a router shortens `url`, and `originalUrl` is what was sent. */
interface ExpressRequest extends RequestLike {
  readonly originalUrl?: string
  accessToken?: AccessToken
}

interface ExpressResponse {
  writeHead(status: number, headers: Readonly<Record<string, string>>): { end(body: string): unknown }
  setHeader(name: string, value: string): unknown
}

export type Middleware = (request: ExpressRequest, response: ExpressResponse, next: (error?: unknown) => void) => void

export interface ExpressApi extends Omit<Api, 'scopes' | 'require'> {
  readonly scopes: (...scopes: readonly string[]) => Middleware
  readonly require: (requirement: Requirement) => Middleware
  /** `app.use(api.metadata)`: answers for the metadata of the API. */
  readonly metadata: Middleware
  /**
   * `express.json({ verify: api.keepBody })`: keeps the bytes that a parser reads, for the digest of a signed request. Without
   * a parser before it the check reads the body itself, and `api.body` has it.
   */
  readonly keepBody: (request: object, response: unknown, body: Uint8Array) => void
  /** The body of a request as it was sent: what was read before, or else it is read now. @param limit bytes; default 1 MiB */
  readonly body: (request: object, limit?: number) => Promise<Uint8Array<ArrayBuffer> | BodyProblem>
}

/** @throws {ConfigurationError} */
export async function protect(options: ProtectOptions): Promise<ExpressApi> {
  const api = await protectAny(options)
  const bodies = createBodies()

  const require = (requirement: Requirement): Middleware => {
    const check = api.require(requirement)
    return (request, response, next) => {
      const rawBody = request.rawBody ?? ((limit: number) => bodies.read(request, limit))
      check(asSent(request, rawBody)).then((decision) => {
        if (!decision.ok) {
          response.writeHead(decision.status, decision.headers).end(decision.body)
          return
        }
        for (const [name, value] of Object.entries(decision.headers ?? {})) response.setHeader(name, value)
        request.accessToken = decision.token
        next()
      }, next)
    }
  }

  const metadata: Middleware = (request, response, next) => {
    const body = api.metadataFor(asSent(request))
    if (body === undefined) next()
    else response.writeHead(200, metadataHeaders).end(body)
  }

  return {
    ...api,
    require,
    scopes: (...scopes) => require({ scopes }),
    metadata,
    // Copied: the buffer is the parser's.
    keepBody: (request, _response, body) => bodies.keep(request, new Uint8Array(body)),
    body: (request, limit = 1_048_576) => bodies.read(request, limit),
  }
}

/** `ip` is asked for where it is needed alone: with `trust proxy` it is read from a header each time. */
function asSent(request: ExpressRequest, rawBody?: RequestLike['rawBody']): RequestLike {
  const { method, originalUrl, url, headers, rawHeaders, socket } = request
  return {
    ...{ method, url: originalUrl ?? url, headers, rawHeaders, socket, rawBody },
    get ip() {
      return request.ip
    },
  }
}
