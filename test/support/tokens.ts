import type { LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { type CodeOptions, type IssuedCode, issueCode } from './grants.js'
import { createTestServer, type TestClient, type TestServer, type TestServerOptions } from './server.js'

export const apiIdentifier = 'https://api.example.com'

type Form = Readonly<Record<string, string | readonly string[]>>

/** An API, an application and a user: what most tests of tokens start from. */
export interface Scene {
  readonly server: TestServer
  /** The resource server of the API, whose scopes are `read` and `write`. */
  readonly api: TestClient
  /** Confidential, with refresh tokens. */
  readonly client: TestClient
  readonly user: { readonly id: string; readonly email: string; readonly password: string }
}

/** By the names of RFC 7591, for an application that logs people in. */
export const application = {
  grant_types: ['authorization_code', 'refresh_token'],
  scope: 'read write openid offline_access',
} as const

export async function openScene(t: Test, options: TestServerOptions = {}): Promise<Scene> {
  const server = await createTestServer(t, options)
  const api = await server.createResource(apiIdentifier, 'read write')
  return { server, api, client: await server.createClient(application), user: await server.createUser() }
}

export interface TokenAnswer {
  readonly access_token: string
  readonly token_type: string
  readonly expires_in: number
  readonly refresh_token: string
  readonly scope: string
}

export interface IssuedTokens extends TokenAnswer {
  readonly issued: IssuedCode
}

const defaults: CodeOptions = { scope: ['read', 'write'], resources: [apiIdentifier] }

/** A code for both scopes of the API, unless the options say otherwise. */
export function codeFor({ server, client, user }: Scene, options: CodeOptions = {}): Promise<IssuedCode> {
  return issueCode(server, client, user.id, { ...defaults, ...options })
}

/** Tokens as an application has them after a login. */
export async function tokensFor(scene: Scene, options: CodeOptions = {}): Promise<IssuedTokens> {
  const issued = await codeFor(scene, options)
  const reply = await redeem(scene.server, scene.client, issued)
  if (reply.statusCode !== 200) throw new Error(`the code was not redeemed: ${reply.body}`)
  return { ...reply.json<TokenAnswer>(), issued }
}

/** A POST by which the client proves itself, or only names itself where it has no secret. */
export function postAs(
  server: TestServer,
  client: TestClient,
  path: string,
  form: Form,
  headers: Readonly<Record<string, string>> = {},
): Promise<LightMyRequestResponse> {
  return client.clientSecret === ''
    ? server.post(path, { ...form, client_id: client.clientId }, headers)
    : server.post(path, form, { authorization: client.basic, ...headers })
}

/** @param more replaces or adds parameters */
export function redeem(server: TestServer, client: TestClient, { form }: Pick<IssuedCode, 'form'>, more: Form = {}) {
  return postAs(server, client, '/token', { ...form, ...more })
}

/** @param more replaces or adds parameters */
export function refresh(server: TestServer, client: TestClient, token: string, more: Form = {}) {
  return postAs(server, client, '/token', { grant_type: 'refresh_token', refresh_token: token, ...more })
}

export async function introspect(
  server: TestServer,
  client: TestClient,
  token: string,
): Promise<{ readonly active: boolean } & Record<string, unknown>> {
  return (await postAs(server, client, '/introspect', { token })).json()
}

export function revokeAt(server: TestServer, client: TestClient, token: string, more: Form = {}) {
  return postAs(server, client, '/revoke', { token, ...more })
}

/** What a JWT says, unverified. */
export function claimsOf(jwt: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
}

/** The names of the statements that the server sends to the database while the work runs. */
export async function statementsOf(server: TestServer, work: () => Promise<unknown>): Promise<readonly string[]> {
  const { pool } = server.ctx.db
  const query = pool.query
  const names: string[] = []
  pool.query = ((...args: Parameters<typeof query>) => {
    const [statement]: readonly unknown[] = args
    const named = typeof statement === 'object' && statement !== null && 'name' in statement
    names.push(named ? String(statement.name) : String(statement))
    return query.apply(pool, args)
  }) as typeof query
  const { db } = server.ctx
  const { reads } = db
  const noting: typeof reads = (work) =>
    reads(({ query }, era) => {
      const noted: typeof query = (name, ...rest) => {
        names.push(name)
        return query(name, ...rest)
      }
      return work({ query: noted }, era)
    })
  Object.assign(db, { reads: noting })
  try {
    await work()
  } finally {
    pool.query = query
    Object.assign(db, { reads })
  }
  return names
}

/** The same without what reads a client whose copy in memory has aged meanwhile. */
export async function lookupsOf(server: TestServer, work: () => Promise<unknown>): Promise<readonly string[]> {
  return (await statementsOf(server, work)).filter((name) => name !== 'clients.find')
}
