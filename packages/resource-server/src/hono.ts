// For Hono, on any runtime.

import type { MiddlewareHandler } from 'hono'
import type { AccessToken } from './access-token.js'
import type { ProtectOptions } from './options.js'
import { type Api, protect as protectAny } from './protect.js'
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

/** @throws {ConfigurationError} */
export async function protect(options: ProtectOptions): Promise<HonoApi> {
  const api = await protectAny(options)

  const require = (requirement: Requirement): MiddlewareHandler<Environment> => {
    const check = api.require(requirement)
    return async (c, next) => {
      const decision = await check(c.req.raw)
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
