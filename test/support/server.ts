import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import inject, { type InjectOptions } from 'light-my-request'
import pg from 'pg'
import type { Test } from 'tap'
import { createApp } from '../../src/app.js'
import { type RegisteredClient, registerClient } from '../../src/clients/index.js'
import { createResource } from '../../src/clients/resource-servers.js'
import type { Context } from '../../src/context.js'
import { createUser } from '../../src/identity/index.js'
import { openContext } from '../../src/open-context.js'
import { loadConfig } from '../../src/platform/config/index.js'
import { createLogger } from '../../src/platform/log.js'
import type { Outbound } from '../../src/platform/outbound/index.js'
import { grantTypes } from '../../src/protocol/token/index.js'
import { auditEvents, partitions } from '../../src/store/index.js'
import { TestClock } from './clock.js'
import { createTestDatabase } from './database.js'
import { SeededRandom } from './random.js'

export const testIssuer = 'http://localhost:3000'
const by = { actor: 'operator' }
export const registration = { by, grantTypes: grantTypes.map(({ name }) => name) }

export interface TestServerOptions {
  /** Over the defaults, by the names of the environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Another process on the same database: shares clock and master key. */
  readonly beside?: TestServer
  readonly seed?: string
  /** Of a process whose clock is wrong. */
  readonly clock?: TestClock
  /** Where its clock begins. For independent clients, which have clocks of their own: now. */
  readonly now?: Date
  /** By what address the server reaches its database, where not directly: through a proxy that fails, say. */
  readonly through?: (databaseUrl: string) => Promise<string>
  /** With the demo of a first start. */
  readonly demo?: boolean
  /** What asks addresses that a stranger named. */
  readonly outbound?: Outbound
  /** Hears every line of the log, of which then none is kept. */
  readonly onLog?: (line: string) => void
}

export interface TestClient {
  readonly clientId: string
  readonly clientSecret: string
  /** For the Authorization header. */
  readonly basic: string
}

export interface TestServer {
  readonly ctx: Context
  readonly app: FastifyInstance
  readonly clock: TestClock
  readonly databaseUrl: string
  /** Everything that was logged, one JSON line each. */
  readonly logs: readonly string[]
  /** POST of a form. */
  readonly post: (
    path: string,
    form: Readonly<Record<string, string | readonly string[]>>,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<LightMyRequestResponse>
  readonly get: (path: string, headers?: Readonly<Record<string, string>>) => Promise<LightMyRequestResponse>
  /** Registers by the names of RFC 7591. */
  readonly createClient: (metadata?: Readonly<Record<string, unknown>>, weak?: boolean) => Promise<TestClient>
  readonly createService: (scope?: string, metadata?: Readonly<Record<string, unknown>>) => Promise<TestClient>
  readonly createResource: (identifier: string, scope: string, settings?: object) => Promise<TestClient>
  readonly createUser: (email?: string, password?: string) => Promise<{ id: string; email: string; password: string }>
  /** What the audit holds, oldest first; what waits in memory is written before. */
  readonly audit: (type?: string) => ReturnType<typeof auditEvents.list>
  /** Reads what other processes changed, as a notification would make it. */
  readonly refresh: () => Promise<void>
}

/** What this needs of a tap test. Work is undone last first. */
export type Owner = Pick<Test, 'fullname'> & { readonly teardown: (work: () => Promise<void>) => unknown }

/** A server on a database of its own, in this process, with a clock that moves by hand. */
export async function createTestServer(t: Owner, options: TestServerOptions = {}): Promise<TestServer> {
  const { beside } = options
  const clock = options.clock ?? beside?.clock ?? new TestClock(options.now)
  const databaseUrl = beside?.databaseUrl ?? (await createTestDatabase(t)).url
  const { config } = loadConfig({
    env: {
      DATABASE_URL: databaseUrl,
      MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
      LOG_LEVEL: 'debug',
      ...options.env,
    },
  })
  const logs: string[] = []
  const { onLog = (line: string) => void logs.push(line) } = options
  const log = createLogger({ level: 'debug', pretty: false, destination: { write: onLog } })
  // Two processes never draw the same.
  const random = new SeededRandom(options.seed ?? (beside ? `${t.fullname} beside` : t.fullname))
  const reachedBy = (await options.through?.(databaseUrl)) ?? databaseUrl
  const ctx = await openContext({ config, log, databaseUrl: reachedBy, clock, random, outbound: options.outbound })
  await partitions.ensurePartitions(ctx.db.pool, await partitions.horizonOf(ctx.db, config), clock.now())
  const demo = options.demo ? { url: `${config.server.issuer}/demo` } : undefined
  const app = await createApp(ctx, { demo })
  await app.ready()
  t.teardown(async () => {
    await app.close()
    await ctx.close()
  })

  const toTestClient = ({ client, clientSecret = '' }: RegisteredClient): TestClient => ({
    clientId: client.clientId,
    clientSecret,
    basic: basicOf(client.clientId, clientSecret),
  })
  const createClient: TestServer['createClient'] = async (metadata = {}, allowWeakSecret = false) =>
    toTestClient(
      await registerClient(
        ctx,
        { client_name: 'Test application', redirect_uris: ['https://app.example/cb'], ...metadata },
        { ...registration, allowWeakSecret },
      ),
    )

  return {
    ctx,
    app,
    clock,
    databaseUrl,
    logs,
    post: (path, form, headers = {}) =>
      send(app, {
        method: 'POST',
        url: path,
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        payload: encodeForm(form),
      }),
    get: (path, headers = {}) => send(app, { method: 'GET', url: path, headers }),
    createClient,
    createService: (scope = '', metadata = {}) =>
      createClient({
        redirect_uris: undefined,
        grant_types: ['client_credentials'],
        scope: scope || undefined,
        ...metadata,
      }),
    async createResource(identifier, scope, settings = {}) {
      const created = await createResource(
        ctx,
        identifier,
        { scopes: scope.split(' ').map((name) => ({ name })), ...settings },
        by,
      )
      await ctx.refresh()
      return {
        clientId: created.resource.clientId,
        clientSecret: created.clientSecret,
        basic: basicOf(created.resource.clientId, created.clientSecret),
      }
    },
    async createUser(email = 'ada@example.com', password = 'correct horse battery') {
      const { id } = await createUser(ctx, { email, password, name: 'Ada' }, by)
      return { id, email, password }
    },
    async audit(type) {
      await ctx.audit.flush()
      return auditEvents.list(ctx.db, { type, limit: 10_000 })
    },
    refresh: ctx.refresh,
  }
}

/** As it would arrive: by what the server listens with, which answers the most frequent requests before Fastify. */
export function send(app: FastifyInstance, request: InjectOptions): Promise<LightMyRequestResponse> {
  const arrive = (incoming: unknown, response: unknown): void => {
    app.server.emit('request', incoming as IncomingMessage, response as ServerResponse)
  }
  return inject(arrive as Parameters<typeof inject>[0], request)
}

export function encodeForm(form: Readonly<Record<string, string | readonly string[]>>): string {
  const encoded = new URLSearchParams()
  for (const [name, value] of Object.entries(form)) for (const each of [value].flat()) encoded.append(name, each)
  return encoded.toString()
}

/** RFC 6749 §2.3.1. */
export function basicOf(clientId: string, clientSecret: string): string {
  const half = (text: string): string => encodeURIComponent(text).replaceAll('%20', '+')
  return `Basic ${Buffer.from(`${half(clientId)}:${half(clientSecret)}`).toString('base64')}`
}

/** A statement of the test's own, on the server's database. */
export async function sql(server: TestServer, text: string, values: readonly unknown[] = []) {
  const client = new pg.Client({ connectionString: server.databaseUrl })
  await client.connect()
  try {
    return (await client.query(text, [...values])).rows
  } finally {
    await client.end()
  }
}
