import type { LightMyRequestResponse } from 'fastify'
import { createGateway, type Gateway, type GatewaySettings } from '../../src/gateways/index.js'
import { basicOf, send, type TestServer } from './server.js'

export interface TestGateway {
  readonly gateway: Gateway
  readonly clientId: string
  readonly clientSecret: string
  /** For X-Gateway-Authorization. */
  readonly basic: string
  /** What it asks about a request that came by https and has these header fields; `undefined` leaves one of its own out. */
  readonly ask: (headers?: Headers, how?: How) => Promise<LightMyRequestResponse>
}

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

interface How {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD' | 'OPTIONS'
  /** Behind the name. */
  readonly path?: string
  readonly at?: TestServer
  readonly name?: string
  readonly payload?: string
  /** Whose connection it is. */
  readonly remoteAddress?: string
}

export async function createTestGateway(
  server: TestServer,
  name: string,
  settings: GatewaySettings,
): Promise<TestGateway> {
  const { gateway, clientSecret } = await createGateway(server.ctx, name, settings, { actor: 'operator' })
  const basic = basicOf(gateway.clientId, clientSecret)
  return {
    gateway,
    clientId: gateway.clientId,
    clientSecret,
    basic,
    ask(headers = {}, { method = 'GET', path = '', at = server, name: asked = name, payload, remoteAddress } = {}) {
      const all = { 'x-gateway-authorization': `${basic}; proto=https`, ...headers }
      const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
      const url = `/forward-auth/${asked}${path}`
      return send(at.app, { method, url, headers: given as Record<string, string>, payload, remoteAddress })
    },
  }
}
