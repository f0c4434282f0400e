import type { Test } from 'tap'
import { createUser } from '../../src/identity/index.js'
import { apiKeysScope } from '../../src/oauth/index.js'
import { issueCode } from './grants.js'
import { createTestServer, send, type TestClient, type TestServer, type TestServerOptions } from './server.js'
import { redeem } from './tokens.js'

export const keyApi = 'https://api.example'

export interface KeyCall {
  readonly token?: string | undefined
  /** Sent as JSON. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface Holder {
  readonly id: string
  /** Opens /api-keys. */
  readonly token: string
}

/** Who manages keys by HTTP: two users, an administrator and a service, an application of the operator's and a stranger's. */
export async function openKeyScene(t: Test, options: TestServerOptions = {}) {
  const server = await createTestServer(t, options)
  const api = await server.createResource(keyApi, 'read write orders:read')
  await server.createResource('https://other.example', 'other')
  const application = {
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'api_keys read write other orders:read openid offline_access',
  }
  const portal = await server.createClient({ ...application, first_party: true })
  const stranger = await server.createClient({ ...application, scope: 'api_keys read' })
  const service = await server.createService('read write api_keys')

  const tokenOf = (userId: string, client: TestClient = portal, scope: readonly string[] = [apiKeysScope]) =>
    userToken(server, client, userId, scope)
  const person = async (email: string, admin = false): Promise<Holder> => {
    const { id } = await createUser(server.ctx, { email, admin }, { actor: 'operator' })
    return { id, token: await tokenOf(id) }
  }
  const serviceToken = async (client: TestClient, scope: string = apiKeysScope): Promise<string> => {
    const form = { grant_type: 'client_credentials', scope }
    return (await server.post('/token', form, { authorization: client.basic })).json().access_token
  }
  const ada = await person('ada@example.com')
  const bob = await person('bob@example.com')
  const root = await person('root@example.com', true)
  const call = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'PUT', path: string, what: KeyCall = {}, at = server) => {
    const { token, body, headers = {} } = what
    return send(at.app, {
      method,
      url: path,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
    })
  }
  /** A key by HTTP. */
  const make = async (token: string, body: Readonly<Record<string, unknown>> = {}) => {
    const reply = await call('POST', '/api-keys', { token, body: { name: 'Test', scope: 'read', ...body } })
    if (reply.statusCode !== 201) throw new Error(`no key: ${reply.body}`)
    return reply.json() as Record<string, unknown> & { readonly id: string; readonly key: string }
  }
  const serviceHolder = { id: service.clientId, token: await serviceToken(service) }
  return {
    ...{ server, api, portal, stranger, service: { ...service, ...serviceHolder }, ada, bob, root },
    ...{ call, make, tokenOf, serviceToken },
  }
}

async function userToken(
  server: TestServer,
  client: TestClient,
  userId: string,
  scope: readonly string[],
): Promise<string> {
  const issued = await issueCode(server, client, userId, { scope })
  const reply = await redeem(server, client, issued)
  if (reply.statusCode !== 200) throw new Error(`no token: ${reply.body}`)
  return reply.json().access_token
}
