import type { Test } from 'tap'
import {
  apiKey,
  bearer,
  type ProtectOptions,
  protect,
  type RequestLike,
  type Requirement,
  signature,
} from '../../../packages/resource-server/src/index.js'
import { createApiKey } from '../../../src/api-keys/index.js'
import type { ApiKeyOwner } from '../../../src/store/index.js'
import { createRunningServer } from '../../support/running-server.js'
import type { TestClient, TestServer } from '../../support/server.js'
import { audience } from './issuer.js'
import { longAgo, until, WaitingPlatform } from './platform.js'
import { origin } from './signed.js'

export const by = { actor: 'operator' }
export const cause = { ...by, reason: 'test' }

export type NewKey = Partial<Parameters<typeof createApiKey>[1]>

/** The real server, an API whose scopes are `orders:read` and `orders:write`, with Basic on, and a service that owns keys. */
export interface KeyScene {
  readonly server: TestServer
  readonly resource: TestClient
  readonly service: TestClient
  readonly owner: ApiKeyOwner
  readonly make: (request?: NewKey) => Promise<{ readonly id: string; readonly text: string }>
}

export async function openKeyScene(t: Test): Promise<KeyScene> {
  const server = await createRunningServer(t, { env: { API_KEYS_PER_OWNER: '10000' } })
  const resource = await server.createResource(audience, 'orders:read orders:write', { acceptsBasic: true })
  const service = await server.createService('orders:read orders:write')
  const owner = { kind: 'client', id: service.clientId } as const
  const defaults = { owner, name: 'Test', scope: ['orders:read'] }
  async function make(request: NewKey = {}) {
    const { key, text = '' } = await createApiKey(server.ctx, { ...defaults, ...request }, by)
    return { id: key.id, text }
  }
  return { server, resource, service, owner, make }
}

/** The API, at the time of its server, which it follows closely; with everything that it says. */
export async function openApi(t: Test, { server, resource }: KeyScene, options: Partial<ProtectOptions> = {}) {
  const platform = new WaitingPlatform(server.clock)
  const warnings: string[] = []
  const { clientId, clientSecret } = resource
  const api = await protect({
    issuer: server.ctx.config.server.issuer,
    audience,
    credentials: { clientId, clientSecret },
    platform,
    tolerance: 5_000,
    schemes: [bearer, apiKey(), signature({ origin, platform: longAgo(platform) })],
    warn: (message) => warnings.push(message),
    ...options,
  })
  t.teardown(() => api.close())
  /** How often the server was asked about something. */
  const asked = () => platform.answers.filter(({ path }) => path === '/introspect').length
  /** `ok`, or why not. */
  async function outcome(request: RequestLike, requirement?: Requirement): Promise<string> {
    const decision = await api.check(request, requirement)
    return decision.ok ? 'ok' : decision.reason
  }
  /** Whatever the server said until now has been heard, and the time that it was moved by is no age. */
  async function heard(): Promise<void> {
    await server.ctx.revocations.refresh()
    const position = String(server.ctx.revocations.position())
    await until('the feed was heard', () => {
      const health = api.health()
      return health.state === 'ready' && BigInt(health.position ?? 0) >= BigInt(position)
    })
  }
  return { api, platform, warnings, asked, outcome, heard }
}

export const withKey = (text: string, headers: Readonly<Record<string, string>> = {}): RequestLike => ({
  method: 'GET',
  url: '/orders',
  headers: { 'x-api-key': text, ...headers },
})

export const withBearer = (text: string): RequestLike => ({
  method: 'GET',
  url: '/orders',
  headers: { authorization: `Bearer ${text}` },
})
