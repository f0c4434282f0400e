import { createApiKey } from '../../src/api-keys/index.js'
import type { TestClient, TestServer } from './server.js'

export const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const apiKeyType = 'urn:ostiary:params:oauth:token-type:api-key'

type Form = Readonly<Record<string, string | readonly string[]>>

/** A token exchange of an API key. @param more replaces or adds parameters */
export function exchange(
  server: TestServer,
  text: string,
  more: Form = {},
  headers: Readonly<Record<string, string>> = {},
) {
  const form = { grant_type: exchangeGrant, subject_token_type: apiKeyType, subject_token: text, ...more }
  return server.post('/token', form, headers)
}

/** @returns the token; throws where there is none */
export async function exchanged(server: TestServer, text: string, more: Form = {}): Promise<string> {
  const reply = await exchange(server, text, more)
  if (reply.statusCode !== 200) throw new Error(`the key was not exchanged: ${reply.body}`)
  return reply.json<{ access_token: string }>().access_token
}

type Request = Parameters<typeof createApiKey>[1]

/** An API key, with its text. */
export async function makeKey(server: TestServer, request: Pick<Request, 'owner' | 'scope'> & Partial<Request>) {
  const { key, text = '' } = await createApiKey(server.ctx, { name: 'Test', ...request }, { actor: 'operator' })
  return { key, text }
}

/** Who asks about a token. */
export async function isActive(server: TestServer, asker: TestClient, token: string): Promise<boolean> {
  const reply = await server.post('/introspect', { token }, { authorization: asker.basic })
  return reply.json<{ active: boolean }>().active
}
