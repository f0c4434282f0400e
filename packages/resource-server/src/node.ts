// For plain node:http and whatever hands its requests and responses on.

import type { AccessToken } from './access-token.js'
import { createBodies } from './body.js'
import type { ProtectOptions } from './options.js'
import { type Api, protect as protectAny } from './protect.js'
import type { BodyProblem, RequestLike } from './request.js'
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
  /**
   * The body of a request: what was read to check its digest (a stream can be read once), or else it is read now.
   *
   * @param limit bytes; default 1 MiB
   */
  readonly body: (request: RequestLike, limit?: number) => Promise<Uint8Array<ArrayBuffer> | BodyProblem>
}

/** @throws {ConfigurationError} */
export async function protect(options: ProtectOptions): Promise<NodeApi> {
  const api = await protectAny(options)
  const bodies = createBodies()
  const require = (requirement: Requirement): Guard => {
    const check = api.require(requirement)
    return async (request, response) => {
      const metadata = api.metadataFor(request)
      if (metadata !== undefined) {
        response.writeHead(200, metadataHeaders).end(metadata)
        return undefined
      }
      const { url, method, headers, rawHeaders, rawBody, ip, socket } = request
      const readBody = (limit: number) => bodies.read(request, limit)
      const decision = await check({ url, method, headers, rawHeaders, rawBody: rawBody ?? readBody, ip, socket })
      if (decision.ok) {
        for (const [name, value] of Object.entries(decision.headers ?? {})) response.setHeader(name, value)
        return decision.token
      }
      response.writeHead(decision.status, decision.headers).end(decision.body)
      return undefined
    }
  }
  const body: NodeApi['body'] = (request, limit = 1_048_576) => bodies.read(request, limit)
  return { ...api, require, scopes: (...scopes) => require({ scopes }), body }
}
