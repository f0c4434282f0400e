import pg from 'pg'
import t from 'tap'
import { checkApiKey, listApiKeys, writeEnds } from '../../src/api-keys/index.js'
import { type KeySet, revoke } from '../../src/revocation/index.js'
import { type ApiKey, sessions } from '../../src/store/index.js'
import { makeKey } from '../support/exchange.js'
import { copyKeys } from '../support/key-copies.js'
import type { TestServer } from '../support/server.js'
import { withClient } from '../support/test-postgres.js'
import {
  apiIdentifier,
  application,
  introspect,
  openScene,
  revokeAt,
  type Scene,
  tokensFor,
} from '../support/tokens.js'

// `revoke` promises that its cost does not depend on how many tokens there are. So each kind of target is ended once with one
// token and once with a thousand under it, and both times the same statements must be sent and as many rows be written.

const by = { actor: 'operator' }
const cause = { ...by, reason: 'test' }

interface Party extends Scene {
  readonly tokens: Awaited<ReturnType<typeof tokensFor>>
}

/** One of them a test of its own, under a client, user, session and grant that nothing else is under. */
const endings: Readonly<Record<string, (party: Party) => Promise<unknown>>> = {
  token: ({ server, client, tokens }) => revokeAt(server, client, tokens.access_token),
  grant: ({ server, client, tokens }) => revokeAt(server, client, tokens.refresh_token),
  async session({ server, tokens }) {
    const id = tokens.issued.sid
    const session = await sessions.findById(server.ctx.db, id)
    if (!session) throw new Error('the session is gone')
    await revoke(server.ctx, { kind: 'session', id, ...session }, cause)
  },
  user: ({ server, user }) => revoke(server.ctx, { kind: 'user', userId: user.id }, cause),
  client: ({ server, client }) => revoke(server.ctx, { kind: 'client', clientId: client.clientId }, cause),
  key: ({ server: { ctx } }) => ctx.keys.end([ctx.keys.kidOf('ES256')], by),
}

async function openParty(scene: Scene, tokens: number): Promise<Party> {
  const { server } = scene
  const client = await server.createClient({ ...application, backchannel_logout_uri: 'https://app.example/logout' })
  const user = await server.createUser(`${client.clientId}@example.com`)
  const party = { ...scene, client, user }
  const first = await tokensFor(party, { scope: ['openid', 'read', 'write'], resources: [apiIdentifier] })
  const about = { column: 'client_id', value: client.clientId }
  const n = tokens - 1
  // More of the rows that issuing writes: of other grants in the session, and of other tokens in each kind of table.
  await multiply(server, 'authorization_grant', about, { id: 'gen_random_uuid()' }, n)
  await multiply(server, 'refresh_token', about, { token_hash: `sha256(token_hash || n::text::bytea)` }, n)
  await multiply(server, 'status_index', about, { idx: 'idx + n * 1024' }, n)
  // Whose tokens a block is for is a key, and perhaps a client that acts for itself.
  const kid = { column: 'kid', value: server.ctx.keys.kidOf(server.ctx.config.keys.signingAlg) }
  const listId = 'uuid_send(gen_random_uuid())'
  await multiply(server, 'status_block', kid, { list_id: listId, client_id: `'${client.clientId}'` }, n)
  return { ...party, tokens: first }
}

/** Copies the first row that is about this so many times, with these columns made of `n`. */
async function multiply(
  server: TestServer,
  table: string,
  { column, value }: { readonly column: string; readonly value: string },
  replaced: Readonly<Record<string, string>>,
  times: number,
): Promise<void> {
  await withClient(server.databaseUrl, async (sql) => {
    const { rows } = await sql.query(
      'SELECT column_name AS name FROM information_schema.columns WHERE table_name = $1',
      [table],
    )
    const columns = rows.map(({ name }) => String(name))
    const values = columns.map((name) => replaced[name] ?? name)
    const { rowCount } = await sql.query(
      `INSERT INTO ${table} (${columns}) SELECT ${values}
         FROM (SELECT * FROM ${table} WHERE ${column} = $1 LIMIT 1) one, generate_series(1, $2::int) n`,
      [value, times],
    )
    if (rowCount !== times) throw new Error(`${table} has no row to copy`)
  })
}

interface Cost {
  readonly statements: readonly string[]
  /** Rows that are new or were changed, by table. */
  readonly written: Readonly<Record<string, number>>
  /** Rows that there are more, or fewer, by table. */
  readonly grown: Readonly<Record<string, number>>
}

async function costOf(server: TestServer, work: () => Promise<unknown>): Promise<Cost> {
  // What waits in memory to be written is no part of it.
  await server.audit()
  const before = await countRows(server, '0')
  const since = await withClient(server.databaseUrl, async (sql) => {
    const { rows } = await sql.query('SELECT pg_current_xact_id()::text AS id')
    return String(rows[0].id)
  })
  const statements = await statementsDuring(work)
  const after = await countRows(server, since)
  const tables = Object.keys(after).filter(
    (table) => after[table]!.written > 0 || after[table]!.all !== before[table]!.all,
  )
  return {
    statements,
    written: Object.fromEntries(tables.map((table) => [table, after[table]!.written])),
    grown: Object.fromEntries(tables.map((table) => [table, after[table]!.all - before[table]!.all])),
  }
}

/** By table, partitions together. @param since a transaction: those behind it are counted as `written` */
async function countRows(server: TestServer, since: string) {
  const counts: Record<string, { written: number; all: number }> = {}
  await withClient(server.databaseUrl, async (sql) => {
    const tables = await sql.query(
      `SELECT oid::regclass::text AS leaf, COALESCE(pg_partition_root(oid), oid)::regclass::text AS name
         FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
    )
    for (const { leaf, name } of tables.rows) {
      const { rows } = await sql.query(
        `SELECT count(*)::int AS all, (count(*) FILTER (WHERE xmin::text::bigint > $1::bigint))::int AS written FROM ${leaf}`,
        [since],
      )
      const sum = counts[name] ?? { written: 0, all: 0 }
      counts[name] = { written: sum.written + rows[0].written, all: sum.all + rows[0].all }
    }
  })
  return counts
}

/** On every connection of this process, also within transactions. */
async function statementsDuring(work: () => Promise<unknown>): Promise<readonly string[]> {
  const { query } = pg.Client.prototype
  const statements: string[] = []
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const [statement] = args
    const { name, text } = (typeof statement === 'object' ? statement : { text: statement }) as Record<string, unknown>
    statements.push(String(name ?? text))
    return (query as (...all: unknown[]) => unknown).apply(this, args)
  } as typeof query
  try {
    await work()
  } finally {
    pg.Client.prototype.query = query
  }
  return statements
}

const few = await openScene(t)
const many = await openScene(t)
// What a process does once: connections, statements of Prisma, what it remembers of clients.
for (const scene of [few, many]) {
  for (const end of Object.values(endings)) await end(await openParty(scene, 1))
  await scene.server.refresh()
}

for (const [kind, end] of Object.entries(endings)) {
  t.test(`to end a ${kind} costs the same with one token and with a thousand`, async (t) => {
    const [one, thousand] = [await openParty(few, 1), await openParty(many, 1_000)]
    const cost = await costOf(few.server, () => end(one))
    t.same(await costOf(many.server, () => end(thousand)), cost)
    // That something was counted at all, and that it was the end.
    t.match(cost, { written: { revocation: 1, audit_event: 1 }, grown: { revocation: 1, audit_event: 1 } })
    // The client is told of it (Back-Channel Logout).
    t.equal(cost.written['outbox'], kind === 'session' || kind === 'user' ? 1 : undefined)
    t.ok(cost.statements.length > 0 && cost.statements.length < 30, `${cost.statements.length} statements`)
    for (const { server, api, tokens } of [one, thousand]) {
      t.match(await introspect(server, api, tokens.access_token), { active: false })
    }
    t.comment(`${kind}: ${cost.statements.length} statements, ${JSON.stringify(cost.written)}`)
  })
}

const sets: Readonly<Record<string, (key: ApiKey) => KeySet>> = {
  'an owner': ({ owner }) => ({ kind: 'owner', owner }),
  'a prefix': ({ prefix }) => ({ kind: 'prefix', prefix }),
  everybody: () => ({ kind: 'all' }),
}

for (const [whose, setOf] of Object.entries(sets)) {
  t.test(`to end all API keys of ${whose} costs the same with ten and with 2,000`, async (t) => {
    const costs: Cost[] = []
    for (const [{ server, user }, keys] of [
      [few, 10],
      [many, 2_000],
    ] as const) {
      const owner = { kind: 'user', id: user.id } as const
      const { key, text } = await makeKey(server, { owner, prefix: 'bulk', scope: ['read'] })
      await copyKeys(server, key.id, keys - 1)
      costs.push(
        await costOf(server, () => revoke(server.ctx, { kind: 'api_keys', set: setOf(key), ending: 'end' }, cause)),
      )
      t.equal(await checkApiKey(server.ctx, text), 'key_ended')
      t.equal((await listApiKeys(server.ctx, { liveAt: server.clock.now() })).length, 0)
      await writeEnds(server.ctx)
    }
    const [cost] = costs
    t.same(costs[1], cost)
    t.match(cost, { written: { api_key_end: 1, revocation: 1, audit_event: 1 } })
    t.notOk('api_key' in cost!.written)
    t.equal(cost!.statements.filter((name) => name === 'revocations.record').length, 1)
    t.comment(`${whose}: ${cost!.statements.join(', ')}`)
  })
}
