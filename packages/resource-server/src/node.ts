// For plain node:http and whatever hands its requests and responses on.

import type { AccessToken } from './access-token.js'
import type { ProtectOptions } from './options.js'
import { type Api, protect as protectAny } from './protect.js'
import type { RequestLike } from './request.js'
import type { Requirement } from './requirement.js'
import { metadataHeaders } from './resource-metadata.js'

/** What is used of a response of node:http. */
export interface ResponseLike {
  writeHead(status: number, headers: Readonly<Record<string, string>>): { end(body: string): unknown }
  setHeader(name: string, value: string): unknown
}

/** Gives the token, or answers by itself and gives undefined. */
export type Guard = (request: RequestLike, response: ResponseLike) => Promise<AccessToken | undefined>

export interface NodeApi extends Omit<Api, 'scopes' | 'require'> {
  readonly scopes: (...scopes: readonly string[]) => Guard
  readonly require: (requirement: Requirement) => Guard
}

/** @throws {ConfigurationError} */
export async function protect(options: ProtectOptions): Promise<NodeApi> {
  const api = await protectAny(options)
  const require = (requirement: Requirement): Guard => {
    const check = api.require(requirement)
    return async (request, response) => {
      const metadata = api.metadataFor(request)
      if (metadata !== undefined) {
        response.writeHead(200, metadataHeaders).end(metadata)
        return undefined
      }
      const decision = await check(request)
      if (decision.ok) {
        for (const [name, value] of Object.entries(decision.headers ?? {})) response.setHeader(name, value)
        return decision.token
      }
      response.writeHead(decision.status, decision.headers).end(decision.body)
      return undefined
    }
  }
  return { ...api, require, scopes: (...scopes) => require({ scopes }) }
}
