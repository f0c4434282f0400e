import type { LightMyRequestResponse } from 'fastify'
import { basicOf, send, type TestServer } from './server.js'

/** What nothing is wrong with. */
export const metadata = { client_name: 'Notes', redirect_uris: ['https://app.example/cb'] }

export interface Sent {
  /** A Bearer token. */
  readonly token?: string | undefined
  readonly ip?: string | undefined
}

/** A request of a client about its own registration. */
export function ask(
  server: TestServer,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
  { token, ip }: Sent = {},
): Promise<LightMyRequestResponse> {
  return send(server.app, {
    method,
    url: path,
    remoteAddress: ip ?? '192.0.2.10',
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
}

export const register = (server: TestServer, body: unknown = metadata, sent: Sent = {}) =>
  ask(server, 'POST', '/register', body, sent)

export interface Registered {
  readonly clientId: string
  readonly clientSecret: string
  readonly basic: string
  /** Of the registration itself. */
  readonly token: string
  readonly path: string
  readonly answer: Readonly<Record<string, unknown>>
}

/** Registers, and fails where that is refused. */
export async function registered(server: TestServer, more: object = {}, sent: Sent = {}): Promise<Registered> {
  const reply = await register(server, { ...metadata, ...more }, sent)
  if (reply.statusCode !== 201) throw new Error(`not registered: ${reply.statusCode} ${reply.body}`)
  const answer = reply.json()
  const { client_id: clientId, client_secret: clientSecret = '' } = answer
  const path = new URL(answer.registration_client_uri).pathname
  const token = answer.registration_access_token
  return { clientId, clientSecret, basic: basicOf(clientId, clientSecret), token, path, answer }
}
