import type { Test } from 'tap'
import { notifyOwner } from '../../src/notices/index.js'
import { movedTables } from '../../src/store/dump.js'
import { settings } from '../../src/store/index.js'
import { createCommandLine } from './command.js'
import { issueCode } from './grants.js'
import { createTestServer, sql, type TestServer } from './server.js'
import { withClient } from './test-postgres.js'

const api = 'https://api.example.com'

/** A server with something in every table, and tokens that live. */
export async function createFullServer(t: Test) {
  const server = await createTestServer(t, { now: new Date() })
  await settings.put(server.ctx.db, 'revocation_receivers', ['https://receiver.example/events'])
  const resource = await server.createResource(api, 'read', { tokenFormat: 'opaque', acceptsBasic: true })
  const service = await server.createService('read')
  const client = await server.createClient({ grant_types: ['authorization_code', 'refresh_token'], scope: 'read' })
  const user = await server.createUser('zoë\t\\"\n@example.com'.replace(/[\t\\"\n]/g, ''))
  const code = await issueCode(server, client, user.id, { scope: ['read'], resources: [api] })
  const first = (await server.post('/token', code.form, { authorization: client.basic })).json()
  const form = { grant_type: 'refresh_token', refresh_token: first.refresh_token }
  const second = (await server.post('/token', form, { authorization: client.basic })).json()
  const token = (
    await server.post('/token', { grant_type: 'client_credentials' }, { authorization: service.basic })
  ).json().access_token
  await server.post('/revoke', { token }, { authorization: service.basic })
  await server.post('/introspect', { token }, { authorization: 'Basic eDp5' })
  // A JWT of a user: it has a place in a status list.
  const app = await server.createClient({ grant_types: ['authorization_code'], scope: 'openid' })
  const own = await issueCode(server, app, user.id, { scope: ['openid'] })
  await server.post('/token', own.form, { authorization: app.basic })
  const run = createCommandLine(t, { url: server.databaseUrl }).run
  for (const args of [
    ['tier', 'create', 'gold', '--limit', '100', '--window', '60'],
    ['client', 'update', client.clientId, '--rate-tier', 'gold'],
    ['role', 'create', 'reader', '--resource', api, '--scope', 'read'],
    ['role', 'grant', 'reader', '--resource', api, '--user', user.email],
    ['api-key', 'create', '--owner', user.email, '--name', 'Report', '--scope', 'read', '--tier', 'gold'],
    ['registration-token', 'create', '--name', 'Portal'],
    ['gateway', 'create', 'front', '--audience', api, '--scope', 'read'],
    ['client', 'disable', service.clientId],
  ]) {
    const done = await run(args)
    if (done.status !== 0) throw new Error(`${args.join(' ')}: ${done.stderr}`)
  }
  await sql(server, `INSERT INTO setting VALUES ('demo', '{"a":"tab\\t\\\\ and \\u00fc"}')`)
  await sql(
    server,
    `INSERT INTO interaction (bucket, id_hash, browser_hash, client_id, request, created_at, expires_at)
     VALUES (1, '\\x00ff0a5c', '\\x01', $1, '{"line":"a\\nb"}', now(), now())`,
    [`tab\tline\nback\\slash \\. é`],
  )
  await sql(
    server,
    `INSERT INTO api_key_end VALUES (gen_random_uuid(), 'prefix:gone', nextval('revocation_position'), now(), 'test', false)`,
  )
  await sql(server, `INSERT INTO client_assertion VALUES (1, '\\x0a5c2e')`)
  await sql(server, `INSERT INTO registration_answer VALUES ($1, '\\x0a', '\\x5c', '\\x2e')`, [client.clientId])
  await sql(server, 'INSERT INTO failure_count VALUES (1, $1, 1, 1) ON CONFLICT DO NOTHING', [
    Buffer.from([10, 92, 46]),
  ])
  await sql(server, `INSERT INTO usage_count VALUES (1, 'api_key', 'k', now(), 'a', '', 'accepted', false, 5000000000)`)
  await sql(
    server,
    `INSERT INTO usage_network VALUES (1, 'api_key', 'k', 20000, 'a', '192.0.2.0/24', false, now(), now(), 7)`,
  )
  await sql(server, `INSERT INTO consent VALUES ($1, $2, '', 'read', true, now()) ON CONFLICT DO NOTHING`, [
    user.id,
    client.clientId,
  ])
  const about = { kind: 'exposed', detail: { name: 'Report' }, by: { actor: 'system' } } as const
  const subject = { kind: 'api_key', id: 'a'.repeat(16) } as const
  await notifyOwner(server.ctx, { ...about, owner: { kind: 'user', id: user.id }, subject })
  await server.ctx.audit.flush()
  return { server, resource, service, client, user, first, second }
}

export type Contents = Readonly<Record<string, readonly string[]>>

/** All rows of a table, as text, in an order of their own. */
export async function rowsOf(url: string, table: string): Promise<readonly string[]> {
  return withClient(url, async (client) => {
    await client.query(`SET timezone = 'UTC'`)
    const { rows } = await client.query(`SELECT t::text AS row FROM ${table} t ORDER BY 1`)
    return rows.map(({ row }) => row)
  })
}

export async function contents(url: string, tables = movedTables.map(({ name }) => name)) {
  return Object.fromEntries(
    await Promise.all(tables.map(async (name) => [name, await rowsOf(url, name)] as const)),
  ) as Contents
}

/** Without what a command itself writes. */
export function withoutOwnEvents(found: Contents): Contents {
  return { ...found, audit_event: found['audit_event']!.filter((row) => !row.includes(',database.')) }
}

/** Another process on the target, with the clock of the source. */
export const serverOn = (t: Test, source: TestServer, url: string, env = {}) =>
  createTestServer(t, { beside: { ...source, databaseUrl: url }, env })
