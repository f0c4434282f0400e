import { createRequire } from 'node:module'
import t from 'tap'
import {
  accessTokens,
  apiKeyEnds,
  apiKeys,
  auditEvents,
  authorizationCodes,
  clientAssertions,
  clientDocuments,
  clients,
  consents,
  dayBucket,
  failures,
  grants,
  interactions,
  notices,
  outbox,
  partitions,
  refreshTokens,
  registrationAnswers,
  registrationTokens,
  revocations,
  roles,
  rotations,
  sessions,
  settings,
  statusLists,
  unusedClients,
  usage,
  users,
  weekBucket,
} from '../../src/store/index.js'
import {
  addCode,
  addParty,
  addRefreshToken,
  newGrant,
  openTestStore,
  type Party,
  redemption,
  rotation,
  type TestStore,
} from '../support/store.js'

// `performance.md`, 7: no statement's cost may grow with what was ever issued. So every hot statement follows an index, and
// visits the partitions that its bucket names and no other: read here from the plan that PostgreSQL ran, over tables of
// thousands of rows in several partitions, with the settings of the pool.

/** How pg writes a value on the wire. */
const { prepareValue } = createRequire(import.meta.url)('pg/lib/utils') as { prepareValue(value: unknown): unknown }

interface Sent {
  readonly text: string
  readonly values: readonly unknown[]
}

interface Node {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Cond'?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Join Filter'?: number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly Node[]
}

const store = await openTestStore(t)
const { db, later, now, random } = store
const horizon = { grantLifetime: 30 * 86_400, sessionLifetime: 7 * 86_400, auditRetentionDays: 90 }
await partitions.ensurePartitions(db.pool, horizon, now())

const party = await addParty(store)
const code = await addCode(store, party)
const token = await addRefreshToken(store, party)
const spent = await addRefreshToken(store, party)
const spending = rotation(store, spent)
await refreshTokens.rotate(db, spending)
const interaction = {
  bucket: dayBucket(later(3600)),
  idHash: random.bytes(32),
  browserHash: random.bytes(32),
  clientId: party.client.clientId,
  request: {},
  createdAt: now(),
  expiresAt: later(3600),
}
await interactions.create(db, interaction)
await store.sql('UPDATE user_account SET password_hash = $2 WHERE id = $1', [party.user.id, 'hash'])

/** What other people have, in every partition there is. */
const thousands = 3000
const today = dayBucket(now())
const thisWeek = weekBucket(now())
const crowd: readonly string[] = [
  `INSERT INTO client (client_id, token_endpoint_auth_method, application_type, require_pkce, first_party, allowed_origins,
                       refresh_token_rotation, refresh_token_retry_window, created_at, updated_at)
   SELECT 'c' || n, 'none', 'web', true, false, ARRAY['https://a' || n || '.example'], true, 10, $1, $1`,
  `INSERT INTO registration_token
   SELECT gen_random_uuid(), sha256(n::text::bytea), NULL, 0, 1, $1, $1::timestamptz + interval '1 day'`,
  `INSERT INTO registration_answer SELECT 'c' || n, sha256(n::text::bytea), sha256($1::timestamptz::text::bytea), ''::bytea`,
  `INSERT INTO client_secret (id, client_id, method, hash, created_at)
   SELECT gen_random_uuid(), 'c' || n, 'hmac-sha256', ''::bytea, $1`,
  `INSERT INTO user_account (id, email, admin, created_at, updated_at) SELECT gen_random_uuid(), n || '@example.com', false, $1, $1`,
  `INSERT INTO consent SELECT (SELECT id FROM user_account WHERE email = n || '@example.com'), 'c' || n, '', 'openid', true, $1`,
  `INSERT INTO session SELECT ${thisWeek} + n % 3, sha256(n::text::bytea), gen_random_uuid(), gen_random_uuid(), $1, $1, $1, $1`,
  `INSERT INTO authorization_grant (bucket, id, client_id, user_id, offline, auth_time, created_at, expires_at)
   SELECT ${thisWeek} + n % 6, gen_random_uuid(), 'c' || n, gen_random_uuid(), false, $1, $1, $1`,
  `INSERT INTO authorization_code (bucket, code_hash, grant_bucket, grant_id, client_id, created_at, expires_at)
   SELECT ${today} + n % 3, sha256(n::text::bytea), ${thisWeek}, gen_random_uuid(), 'c' || n, $1, $1`,
  `INSERT INTO refresh_token (bucket, token_hash, grant_id, client_id, created_at, expires_at)
   SELECT ${thisWeek} + n % 6, sha256(n::text::bytea), gen_random_uuid(), 'c' || n, $1, $1`,
  `INSERT INTO refresh_answer SELECT ${today} + n % 3, sha256(n::text::bytea), ''::bytea, ''::bytea, $1`,
  `INSERT INTO access_token SELECT ${today} + n % 3, sha256(n::text::bytea), '{}', $1`,
  `INSERT INTO client_assertion SELECT ${today} + n % 3, CASE WHEN $1::timestamptz IS NULL THEN NULL ELSE sha256(n::text::bytea) END`,
  `INSERT INTO interaction SELECT ${today} + n % 3, sha256(n::text::bytea), ''::bytea, 'c', '{}', NULL, $1, $1, NULL`,
  `INSERT INTO failure_count SELECT ${today} + n % 3, sha256(n::text::bytea), 7, CASE WHEN $1::timestamptz IS NULL THEN 0 ELSE 1 END`,
  `INSERT INTO revocation SELECT ${today} + n % 3, 'token', 't' || n, n, true, $1, NULL, 'test', $1`,
  `INSERT INTO status_list SELECT ${today} + n % 3, n, 0, sha256(n::text::bytea), 64, 'x', $1, $1`,
  `INSERT INTO status_block SELECT ${today} + n % 3, sha256(n::text::bytea), n, 64, 'c' || n, 'a', 'k', $1`,
  `INSERT INTO status_index
   SELECT ${today} + n % 3, gen_random_uuid(), sha256(n::text::bytea), n, gen_random_uuid(), 'c' || n, NULL, 'a',
          extract(epoch FROM $1::timestamptz)::int`,
  `INSERT INTO outbox (id, kind, destination, payload, created_at, next_attempt_at, attempts)
   SELECT gen_random_uuid(), 'revocation', 'https://' || n % 3 || '.example/', '{}', $1, $1::timestamptz + interval '1 second' * (n % 500), 0`,
  `INSERT INTO api_key (id, prefix, environment, kind, owner_kind, owner, name, created_at, updated_at, successor, position, ended_at, end_id)
   SELECT lpad(n::text, 16, 'k'), 'p' || n % 3, 'live', 'secret', 'client', 'c' || n, 'x', $1, $1, 'x', n,
          CASE WHEN n % 2 = 0 THEN $1::timestamptz END, CASE WHEN n % 2 = 0 THEN gen_random_uuid() END`,
  `INSERT INTO api_key_end SELECT gen_random_uuid(), 'prefix:x' || n, n, $1, 'x', false`,
  `INSERT INTO usage_count
   SELECT ${thisWeek} + n % 2, 'api_key', 'k' || n, $1, 'a', '', 'accepted', false, 1`,
  `INSERT INTO usage_network
   SELECT ${thisWeek} + n % 2, 'api_key', 'k' || n, ${today}, 'a', '192.0.2.0/24', false, $1, $1, 1`,
  // Keys that are over in one of three ways.
  `INSERT INTO api_key (id, prefix, environment, kind, owner_kind, owner, name, created_at, updated_at, expires_at, ended_at, successor)
   SELECT 'o' || n, 'sk', 'live', 'signing', 'client', 'c' || n, 'x', $1, $1,
          CASE WHEN n % 3 = 0 THEN $1::timestamptz - interval '1 second' END, CASE WHEN n % 3 = 1 THEN $1::timestamptz END,
          CASE WHEN n % 3 = 2 THEN 'k' END`,
  `INSERT INTO notice SELECT gen_random_uuid(), 'client', 'c' || n, 'leaked', 'api_key', 'k' || n, 'leaked', '{}', $1`,
  `INSERT INTO audit_event (bucket, id, time, type, actor, count) SELECT ${thisWeek} + n % 2, gen_random_uuid(), $1, 'x', 'y', 1`,
]
// Before the first test: from then on the pool may be one that only writes down what it is sent.
const batches = await inBatches(store, party)
for (const text of crowd) await store.sql(`${text} FROM generate_series(1, ${thousands}) n`, [now()])
// Who is told of the end of their sessions: by `sub`, and of each session.
await store.sql(`UPDATE authorization_grant SET scope = '{openid}' WHERE client_id = $1`, [party.client.clientId])
await store.sql(
  `UPDATE client SET backchannel_logout_uri = 'https://app.example/', backchannel_logout_session_required = true
    WHERE client_id = $1`,
  [party.client.clientId],
)
await settings.put(db, 'revocation_receivers', ['https://1.example/'])
await store.sql('ANALYZE')

/** The statements that the work would send, in their order: nothing is run, and nothing is found. */
async function sentBy(work: () => Promise<unknown>, { pool } = db): Promise<readonly Sent[]> {
  const sent: Sent[] = []
  const query = pool.query
  pool.query = (async (config: string | { text: string; values?: unknown[] }, values: unknown[] = []) => {
    sent.push(
      typeof config === 'string' ? { text: config, values } : { text: config.text, values: config.values ?? values },
    )
    return { rows: [], fields: [], rowCount: 0 }
  }) as unknown as typeof query
  try {
    await work()
  } finally {
    pool.query = query
  }
  return sent
}

/** The plan of the prepared statement, as it ran; what it wrote is undone. */
async function planOf({ text, values }: Sent, { pool } = db): Promise<Node> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query(`PREPARE hot AS ${text}`)
    const literals = values.map((value) => {
      // Sent in binary; a literal is a text.
      const array = typeof value === 'object' && value !== null && 'toPostgres' in value && 'values' in value
      const wire = prepareValue(array ? value.values : value)
      if (wire === null || wire === undefined) return 'NULL'
      return client.escapeLiteral(Buffer.isBuffer(wire) ? `\\x${wire.toString('hex')}` : String(wire))
    })
    const run = literals.length > 0 ? `EXECUTE hot (${literals.join(', ')})` : 'EXECUTE hot'
    const { rows } = await client.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${run}`)
    return rows[0]['QUERY PLAN'][0].Plan
  } finally {
    await client.query('ROLLBACK')
    await client.query('DEALLOCATE hot')
    client.release()
  }
}

function* nodesOf(node: Node): Generator<Node> {
  yield node
  for (const child of node.Plans ?? []) yield* nodesOf(child)
}

const partition = /_(?:p\d+|default)$/

/** How many partitions of each table the plan visited. */
function visited(plan: Node): Readonly<Record<string, number>> {
  const found = new Map<string, Set<string>>()
  for (const node of nodesOf(plan)) {
    const name = node['Relation Name']
    if (!name || node['Actual Loops'] === 0 || !partition.test(name) || !/Scan$/.test(node['Node Type'])) continue
    const table = name.replace(partition, '')
    found.set(table, (found.get(table) ?? new Set()).add(name))
  }
  return Object.fromEntries([...found].map(([table, names]) => [table, names.size]))
}

const failureKeys = [1, 2].map((n) => ({ key: Buffer.alloc(32, n), window: 7, windowStart: now() }))
const revoking = (kind: 'grant' | 'session' | 'client' | 'user' | 'api_keys', target: string) => ({
  kind,
  target,
  terminal: true,
  instant: now(),
  expiresAt: later(3601),
  audiences: [],
  reason: 'test',
  ...(kind === 'grant' ? { row: token.grant } : {}),
  ...(kind === 'session' ? { row: party.session, grantsOf: party.user.id } : {}),
  ...(kind === 'api_keys' ? { ending: 'end' as const } : {}),
  ...(kind === 'user' ? { row: { bucket: 0, id: target }, grantsOf: target } : {}),
  event: store.event(),
})
const found = (await sessions.find(db, party.session.bucket, party.session.tokenHash, now()))!
const login = {
  session: { ...found, tokenHash: random.bytes(32), createdAt: now() },
  passwordHash: 'hash',
  interaction,
  event: store.event('login.succeeded', { detail: {} }),
}
const expiresAt = later(600)
const lane = { kind: 'revocation', destination: 'https://1.example/' }
const message = { ...lane, id: random.uuid(), payload: {}, createdAt: now(), attempts: 1 }
const accessToken = { bucket: dayBucket(expiresAt), hash: random.bytes(32), claims: {}, expiresAt }

const used = { kind: 'api_key', credential: 'k77', api: 'a', superseded: false, count: 1 } as const
const uses = { kind: 'api_key', since: later(-7 * 86_400), now: now() } as const
const due = { now: now(), until: later(14 * 86_400), rotateEvery: 86_400 }
const readDue = async (): Promise<void> => {
  for await (const page of rotations.due(db, due)) page.length
}
const notice = {
  id: random.uuid(),
  owner: { kind: 'client', id: 'c77' },
  kind: 'exposed',
  subject: { kind: 'api_key', id: 'k77' },
  detail: { name: 'x' },
  cause: 'exposed',
  createdAt: now(),
  event: store.event(),
} as const

/** Name, the work, and the most partitions of one table that it may visit. */
const hot: readonly (readonly [string, () => Promise<unknown>, number?])[] = [
  ['clients.find', () => clients.find(db, party.client.clientId)],
  ['clients.isAllowedOrigin', () => clients.isAllowedOrigin(db, 'https://a77.example')],
  ['clients.recordUse', () => clients.recordUse(db, [{ clientId: 'c77', at: now() }])],
  ['unusedClients.list', () => unusedClients.list(db, now(), 10)],
  ['unusedClients.keep', () => unusedClients.keep(db, 'c77')],
  [
    'clientDocuments.touch',
    () => {
      const times = { fetchedAt: now(), freshUntil: now(), unusedUntil: now() }
      return clientDocuments.touch(db, { clientId: 'c77', hash: random.bytes(32), ...times })
    },
  ],
  ['clientDocuments.areUnused', () => clientDocuments.areUnused(db, 10)],
  ['registrationTokens.findLive', () => registrationTokens.findLive(db, random.bytes(32), now())],
  ['registrationAnswers.find', () => registrationAnswers.find(db, 'c77', random.bytes(32))],
  ['registrationAnswers.remove', () => registrationAnswers.remove(db, 'c77', random.bytes(32))],
  ['registrationTokens.spend', () => registrationTokens.spend(db, random.uuid(), now())],
  ['authorizationCodes.find', () => authorizationCodes.find(db, code.bucket, code.hash, now())],
  ['authorizationCodes.redeem', () => authorizationCodes.redeem(db, redemption(store, code))],
  ['authorizationCodes.redeemAtOnce', () => authorizationCodes.redeemAtOnce(db, redemption(store, code))],
  ['authorizationCodes.spend', () => authorizationCodes.spend(db, code, store.event('code.refused'))],
  ['authorizationCodes.wasSpentBy', () => authorizationCodes.wasSpentBy(db, code, random.uuid())],
  ['refreshTokens.find', () => refreshTokens.find(db, token.bucket, token.hash, now())],
  [
    'refreshTokens.extend',
    () => {
      const { answer: _, ...rest } = rotation(store, token)
      return refreshTokens.extend(db, { ...rest, expiresAt: later(60) })
    },
  ],
  ['refreshTokens.rotate', () => refreshTokens.rotate(db, rotation(store, token))],
  [
    'refreshTokens.findAnswer',
    () => refreshTokens.findAnswer(db, spent, spending.answer.bucket, spending.answer.requestHash, now()),
  ],
  ['accessTokens.create', () => accessTokens.create(db, accessToken)],
  [
    'clientAssertions.spend',
    () => clientAssertions.spend(db, { buckets: [accessToken.bucket], hash: accessToken.hash }),
  ],
  ['accessTokens.find', () => accessTokens.find(db, accessToken.bucket, accessToken.hash)],
  ['auditEvents.add', () => auditEvents.add(db, store.event())],
  // By position, so in every partition that is kept: as many as there are, each by its index.
  ['revocations.listBehind', () => revocations.listBehind(db, 2990n, now(), 100), 7],
  [
    'statusLists.lease',
    () => {
      const period = statusLists.statusPeriod(now().getTime() / 1000)
      const owner = { kid: 'k', service: { clientId: 'c77', audience: 'a' } }
      return statusLists.lease(db, { owner, period, size: 64, leasedAt: now(), newId: random.bytes(16) })
    },
  ],
  // Of yesterday, today and tomorrow: by the user and by the client.
  [
    'statusLists.listChanges',
    () => statusLists.listChanges(db, 2990n, { now: now(), since: now(), settled: now(), limit: 100 }),
    7,
  ],
  // Two of the audit: whether anything in it is ahead of our clock is asked first.
  ['revocations.add of a grant', () => revocations.add(db, revoking('grant', token.grant.id)), 2],
  ['revocations.add of a client', () => revocations.add(db, revoking('client', 'c77')), 2],
  // A user's grants end in any week.
  ['revocations.add of a session', () => revocations.add(db, revoking('session', party.session.id)), 30],
  ['revocations.add of a user', () => revocations.add(db, revoking('user', party.user.id)), 30],
  ['revocations.reachesAll', () => revocations.reachesAll(db, revoking('user', party.user.id), now()), 30],
  ['revocations.add of the keys of a prefix', () => revocations.add(db, revoking('api_keys', 'prefix:p1')), 2],
  ['apiKeys.countLive', () => apiKeys.countLive(db, { kind: 'client', id: 'c7' }, now(), 100)],
  ['apiKeys.find', () => apiKeys.find(db, 'kkkkkkkkkkkk1001')],
  ['apiKeyEnds.sweepSome of all', () => apiKeyEnds.sweepSome(db, { target: 'all' }, '')],
  ['apiKeyEnds.sweepSome of a prefix', () => apiKeyEnds.sweepSome(db, { target: 'prefix:p1' }, 'kkkkkkkkkkkk1001')],
  ['apiKeyEnds.sweepSome of an owner', () => apiKeyEnds.sweepSome(db, { target: 'owner:client:c7' }, '')],
  ['apiKeyEnds.remove', () => apiKeyEnds.remove(db, { id: random.uuid() })],
  ['rotations.due', readDue],
  ['notices.createAll', () => notices.createAll(db, [notice])],
  ['notices.list', () => notices.list(db, { limit: 10 })],
  ['notices.list of an owner', () => notices.list(db, { owner: notice.owner, limit: 10 })],
  ['notices.findForDelivery', () => notices.findForDelivery(db, notice.id)],
  ['notices.removeOld', () => notices.removeOld(db, now(), 10)],
  ['outbox.listDue', () => outbox.listDue(db, ['revocation'], now())],
  ['outbox.claim', () => outbox.claim(db, { ...lane, now: now(), until: later(30), limit: 8 })],
  ['outbox.remove', () => outbox.remove(db, message)],
  ['outbox.postpone', () => outbox.postpone(db, message, later(60), 'timeout')],
  ['outbox.release', () => outbox.release(db, message)],
  ['roles.heldBy', () => roles.heldBy(db, { kind: 'user', holder: party.user.id })],
  ['failures.count', () => failures.count(db, failureKeys)],
  ['failures.add', () => failures.add(db, failureKeys, store.event())],
  ['failures.clear', () => failures.clear(db, failureKeys[0]!)],
  ['sessions.find', () => sessions.find(db, party.session.bucket, party.session.tokenHash, now())],
  ['sessions.extend', () => sessions.extend(db, found, later(86_400))],
  ['sessions.start', () => sessions.start(db, login)],
  ['sessions.renew', () => sessions.renew(db, login)],
  // For the pages of the account.
  ['sessions.list', () => sessions.list(db, party.user.id, now(), 100), 30],
  ['grants.listAllowed', () => grants.listAllowed(db, party.user.id, now(), 500), 30],
  [
    'grants.listUnended',
    () => grants.listUnended(db, { userId: party.user.id, clientId: party.client.clientId, now: now(), limit: 500 }),
    30,
  ],
  ['users.findForLogin', () => users.findForLogin(db, party.user.email)],
  ['consents.listRemembered', () => consents.listRemembered(db, party.user.id, 500)],
  ['consents.list', () => consents.list(db, party.user.id, party.client)],
  ['interactions.create', () => interactions.create(db, { ...interaction, idHash: random.bytes(32) })],
  ['interactions.setRequest', () => interactions.setRequest(db, interaction, {})],
  ['interactions.find', () => interactions.find(db, interaction.bucket, interaction.idHash)],
  [
    'grants.create',
    () =>
      grants.create(db, {
        grant: newGrant(store, party),
        code: { bucket: code.bucket, hash: random.bytes(32), expiresAt: code.expiresAt },
        event: store.event(),
        answers: { interaction, decisions: [], consentEvent: undefined },
      }),
  ],
  ['clients.listReaching', () => clients.listReaching(db, ['c77', 'c78'], 'https://api.example')],
  ['usage.add', () => usage.add(db, [{ ...used, hour: now(), scope: 'read', outcome: 'accepted' }])],
  ['usage.addNetworks', () => usage.addNetworks(db, [{ ...used, network: 'n', firstSeen: now(), lastSeen: now() }])],
  // Of last week, this and the next.
  ['usage.totals', () => usage.totals(db, { ...uses, credentials: ['k77'] }), 3],
  ['usage.networks', () => usage.networks(db, { ...uses, credentials: ['k77'] }), 3],
  ['interactions.complete', () => interactions.complete(db, interaction, now(), store.event())],
]

for (const [name, work, most = 1] of hot) {
  t.test(`${name} follows indexes, in ${most === 1 ? 'one partition' : `${most} partitions at most`}`, async (t) => {
    const sent = await sentBy(work)
    t.not(sent.length, 0)
    for (const statement of sent) {
      const plan = await planOf(statement)
      const scans = [...nodesOf(plan)].filter((node) => node['Node Type'] === 'Seq Scan')
      t.same(
        scans.map((node) => node['Relation Name']),
        [],
        'no table is read from end to end',
      )
      const counts = visited(plan)
      // An update visits its partition twice: to lock its row in order, and to change it.
      for (const [table, count] of Object.entries(counts)) t.ok(count <= most, `${count} of ${table}`)
    }
  })
}

/** The rows that all steps of the plan have looked at. */
function rowsOf(plan: Node): number {
  let rows = 0
  for (const node of nodesOf(plan)) {
    const seen =
      node['Actual Rows'] + (node['Rows Removed by Join Filter'] ?? 0) + (node['Rows Removed by Filter'] ?? 0)
    rows += seen * node['Actual Loops']
  }
  return rows
}

t.test('API keys that are over cost nothing when it is asked what is due', async (t) => {
  const keys = (await sentBy(readDue)).filter(({ text }) => text.includes('FROM api_key'))
  t.equal(keys.length, 2)
  for (const statement of keys) t.ok(rowsOf(await planOf(statement)) < 20)
})

t.test('who is to hear of the end of a session is found without reading its grants', async (t) => {
  for (const revocation of [revoking('session', party.session.id), revoking('user', party.user.id)]) {
    const [statement] = await sentBy(() => revocations.add(db, revocation))
    const plan = await planOf(statement!)
    const nodes = [...nodesOf(plan)]
    const grantRows = nodes.filter((node) => node['Relation Name']?.startsWith('authorization_grant'))
    const rows = grantRows.reduce((sum, node) => sum + node['Actual Rows'] * node['Actual Loops'], 0)
    t.ok(rows > 0 && rows < 20, `${rows} rows, of more than a hundred`)
    const written = nodes.filter((node) => node['Node Type'] === 'ModifyTable' && node['Relation Name'] === 'outbox')
    t.same(
      written.map((node) => node['Actual Rows']),
      [1, 1],
      'the receiver of revocations and the client are told',
    )
  }
})

/** The statements that spend and look up, for so many items at once. */
async function inBatches(
  store: TestStore,
  party: Party,
): Promise<Readonly<Record<string, (count: number) => Promise<unknown>>>> {
  const { db, now, later } = store
  const tokens = await Promise.all(Array.from({ length: 64 }, () => addRefreshToken(store, party)))
  const codes = await Promise.all(Array.from({ length: 64 }, () => addCode(store, party)))
  return {
    'refreshTokens.find': (count) =>
      Promise.all(tokens.slice(0, count).map(({ bucket, hash }) => refreshTokens.find(db, bucket, hash, now()))),
    'refreshTokens.rotate': (count) =>
      Promise.all(tokens.slice(0, count).map((one) => refreshTokens.rotate(db, rotation(store, one)))),
    'refreshTokens.extend': (count) =>
      Promise.all(
        tokens.slice(0, count).map((one) => {
          const { answer: _, ...rest } = rotation(store, one)
          return refreshTokens.extend(db, { ...rest, expiresAt: later(60) })
        }),
      ),
    'authorizationCodes.find': (count) =>
      Promise.all(codes.slice(0, count).map(({ bucket, hash }) => authorizationCodes.find(db, bucket, hash, now()))),
    'authorizationCodes.redeem': (count) =>
      Promise.all(codes.slice(0, count).map((one) => authorizationCodes.redeem(db, redemption(store, one)))),
  }
}

for (const [name, work] of Object.entries(batches)) {
  t.test(`${name} looks at as many rows for each of 64 as for each of 8`, async (t) => {
    const [few, many] = [await sentBy(() => work(8)), await sentBy(() => work(64))]
    // One statement; where the rows of a batch are not spent by it, one more that asks why.
    t.ok(few.length <= 2)
    t.equal(many.length, few.length)
    const [each, eachOfMany] = [rowsOf(await planOf(few[0]!)) / 8, rowsOf(await planOf(many[0]!)) / 64]
    t.ok(eachOfMany < each * 1.5, `${eachOfMany} rows, ${each}`)
  })
}

t.test('a plan that is made while there are three clients would suit a million', async (t) => {
  const small = await openTestStore(t)
  const parties = await Promise.all([addParty(small), addParty(small), addParty(small)])
  const works = await inBatches(small, parties[0]!)
  await small.sql('ANALYZE')
  for (const [name, work] of Object.entries(works)) {
    for (const statement of await sentBy(() => work(8), small.db)) {
      const plan = await planOf(statement, small.db)
      const whole = [...nodesOf(plan)].filter((node) => node['Relation Name'] && isWholeTable(node))
      t.same(
        whole.map((node) => node['Relation Name']),
        [],
        `${name} begins with the keys`,
      )
    }
  }
})

/** A scan that nothing narrows: all rows are looked at, even if an index says in which order. */
function isWholeTable(node: Node): boolean {
  return node['Node Type'] === 'Seq Scan' || (/^Index.* Scan$/.test(node['Node Type']) && !node['Index Cond'])
}

t.test('a statement that scans, or visits every partition, would be seen', async (t) => {
  const scan = await planOf({ text: `SELECT FROM refresh_token WHERE client_id = 'c77'`, values: [] })
  t.ok([...nodesOf(scan)].some((node) => node['Node Type'] === 'Seq Scan'))
  const all = await planOf({
    text: 'SELECT FROM refresh_token WHERE token_hash = $1::bytea AND bucket > 0',
    values: [token.hash],
  })
  t.ok(visited(all)['refresh_token']! > 3)
})
