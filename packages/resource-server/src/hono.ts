// For Hono, on any runtime.

import type { Context, MiddlewareHandler } from 'hono'
import type { AccessToken } from './access-token.js'
import { bodyOf } from './body.js'
import { ConfigurationError } from './errors.js'
import { isBeforeToken, type Limit } from './limits/count-request.js'
import type { ProtectOptions } from './options.js'
import { type Api, protect as protectAny } from './protect.js'
import type { RequestLike } from './request.js'
import type { Requirement } from './requirement.js'
import { metadataHeaders } from './resource-metadata.js'

/** `c.var.accessToken`, on routes that check. */
export type Environment = { readonly Variables: { readonly accessToken: AccessToken } }

export interface HonoApi extends Omit<Api, 'scopes' | 'require'> {
  readonly scopes: (...scopes: readonly string[]) => MiddlewareHandler<Environment>
  readonly require: (requirement: Requirement) => MiddlewareHandler<Environment>
  /** `app.use(api.metadata)`: answers for the metadata of the API. */
  readonly metadata: MiddlewareHandler
}

export interface HonoOptions extends ProtectOptions {
  /**
   * Where a request comes from, for keys that may be used from some networks alone. Each runtime says it in a way of its own;
   * in Node.js: `(c) => getConnInfo(c).remote.address`.
   */
  readonly address?: (c: Context) => string | undefined
}

/** @throws {ConfigurationError} */
export async function protect({ address, ...options }: HonoOptions): Promise<HonoApi> {
  // To a limit all callers would be one, and the first to use it up would lock the others out.
  const checkPlaces = (limits: readonly Limit[] = []): void => {
    if (address || options.addressOf || !limits.some(isBeforeToken)) return
    throw new ConfigurationError('limits by address or network need address, or addressOf')
  }
  checkPlaces(options.limits)
  const api = await protectAny(options)
  const asSent = (c: Context): RequestLike => (address ? located(c.req.raw, address(c)) : c.req.raw)

  const require = (requirement: Requirement): MiddlewareHandler<Environment> => {
    checkPlaces(requirement.limits)
    const check = api.require(requirement)
    return async (c, next) => {
      const decision = await check(asSent(c))
      if (!decision.ok) return new Response(decision.body, { status: decision.status, headers: decision.headers })
      c.set('accessToken', decision.token)
      await next()
      for (const [name, value] of Object.entries(decision.headers ?? {})) c.header(name, value)
      return undefined
    }
  }

  const metadata: MiddlewareHandler = async (c, next) => {
    const body = api.metadataFor(c.req.raw)
    if (body !== undefined) return new Response(body, { headers: metadataHeaders })
    await next()
    return undefined
  }

  return { ...api, require, scopes: (...scopes) => require({ scopes }), metadata }
}

/** The request with its address: to a `Request` itself nothing can be added. */
function located(request: Request, ip: string | undefined): RequestLike {
  const { url, method, headers } = request
  const socket = { encrypted: url.startsWith('https://') }
  return { url, method, headers, ip, socket, rawBody: (limit) => bodyOf(request, limit) }
}
