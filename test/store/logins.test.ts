import t from 'tap'
import { dayBucket, interactions, type PasswordLogin, sessions, weekBucket } from '../../src/store/index.js'
import { addUser, openTestStore, type TestStore } from '../support/store.js'
import { withClient } from '../support/test-postgres.js'

const passwordHash = 'the hash of a password'

/** A login that waits to be written, of a user of its own. */
async function addLogin(store: TestStore): Promise<PasswordLogin & Required<Pick<PasswordLogin, 'interaction'>>> {
  const { id: userId } = await addUser(store)
  await store.sql('UPDATE user_account SET password_hash = $2 WHERE id = $1', [userId, passwordHash])
  const expiresAt = store.later(3600)
  const interaction = {
    bucket: dayBucket(expiresAt),
    idHash: store.random.bytes(32),
    browserHash: store.random.bytes(32),
    clientId: 'client',
    request: {},
    createdAt: store.now(),
    expiresAt,
  }
  await interactions.create(store.db, interaction)
  return { ...again(store, userId), passwordHash, interaction }
}

/** The session and the event of a login of now. */
function again(store: TestStore, userId: string) {
  const end = store.later(7 * 86_400)
  const id = store.random.uuid()
  const detail = { sid: id, method: 'password' }
  const about = {
    actor: `user:${userId}`,
    subject: userId,
    clientId: 'client',
    ip: '192.0.2.1',
    requestId: 'r',
    detail,
  }
  return {
    session: {
      bucket: weekBucket(end),
      id,
      userId,
      tokenHash: store.random.bytes(32),
      authTime: store.now(),
      createdAt: store.now(),
      expiresAt: end,
      idleExpiresAt: store.later(12 * 3600),
    },
    event: store.event('login.succeeded', about),
  }
}

const isThere = async (store: TestStore, { bucket, tokenHash }: PasswordLogin['session']) =>
  (await sessions.find(store.db, bucket, tokenHash, store.now())) !== undefined

/** What a login has left: the ids of the user's sessions, of the events, and whether the interaction remembers it. */
async function written(store: TestStore, { session, interaction }: Awaited<ReturnType<typeof addLogin>>) {
  const rows = await store.sql('SELECT id, ended_at FROM session WHERE user_id = $1 ORDER BY id', [session.userId])
  const events = await store.sql('SELECT id FROM audit_event WHERE subject = $1 ORDER BY time', [session.userId])
  const found = await interactions.find(store.db, interaction.bucket, interaction.idHash)
  return { sessions: rows.map(({ id }) => id), events: events.map(({ id }) => id), remembered: found?.authenticatedAt }
}

const nothing = { sessions: [], events: [], remembered: undefined }

/** What may become of the user between the check of the password and the start of the session. */
const changes: Readonly<Record<string, { readonly text: string; readonly kind: 'refused' | 'behind' }>> = {
  'the password was changed': {
    text: `UPDATE user_account SET password_hash = 'another' WHERE id = $1`,
    kind: 'refused',
  },
  'the password was taken away': {
    text: 'UPDATE user_account SET password_hash = NULL WHERE id = $1',
    kind: 'refused',
  },
  'the user is disabled': { text: 'UPDATE user_account SET disabled_at = created_at WHERE id = $1', kind: 'refused' },
  'the user is deleted': { text: 'DELETE FROM user_account WHERE id = $1', kind: 'refused' },
  'the user was revoked': { text: 'UPDATE user_account SET not_before = created_at WHERE id = $1', kind: 'behind' },
}

/** Does what is to be done in an open transaction, and commits when the work waits for a lock of it. */
async function meanwhile<T>(
  { url }: TestStore,
  statements: readonly (readonly [string, (readonly unknown[])?])[],
  work: () => Promise<T>,
  beforeCommit?: () => Promise<unknown>,
): Promise<T> {
  return withClient(url, async (client) => {
    await client.query('BEGIN')
    for (const [text, values = []] of statements) await client.query(text, [...values])
    const working = work()
    const waits =
      'SELECT 1 FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())'
    while ((await client.query(waits)).rows.length === 0);
    await beforeCommit?.()
    await client.query('COMMIT')
    return working
  })
}

t.test('a login is the session, its event and what the interaction remembers', async (t) => {
  const store = await openTestStore(t)
  const login = await addLogin(store)
  t.same(await sessions.start(store.db, login), { kind: 'started' })
  const { session, event } = login
  t.same(await written(store, login), { sessions: [session.id], events: [event.id], remembered: store.now() })
  const found = await sessions.find(store.db, session.bucket, session.tokenHash, store.now())
  const { tokenHash: _, ...rest } = session
  t.match(found, rest)
  const [row] = await store.sql('SELECT * FROM audit_event WHERE id = $1', [event.id])
  t.match(row, {
    bucket: weekBucket(store.now()),
    time: event.time,
    type: 'login.succeeded',
    actor: `user:${session.userId}`,
    client_id: 'client',
    grant_id: null,
    ip: '192.0.2.1',
    request_id: 'r',
    reason: null,
    detail: { sid: session.id, method: 'password' },
    count: 1,
  })

  const { interaction: __, ...without } = { ...login, ...again(store, session.userId) }
  t.same(await sessions.start(store.db, without), { kind: 'started' }, 'nothing need wait for it')
  const inside = { ...login, ...again(store, session.userId) }
  t.same(await store.db.transaction((tx) => sessions.startWithin(tx, inside)), { kind: 'started' })
  t.ok(await isThere(store, inside.session))
})

for (const [name, { text, kind }] of Object.entries(changes)) {
  t.test(`a login begins nothing where ${name} since the password was checked`, async (t) => {
    const store = await openTestStore(t)
    const login = await addLogin(store)
    const { userId } = login.session
    const expected = kind === 'behind' ? { kind, notBefore: store.now() } : { kind }
    await store.sql(text, [userId])
    t.same(await sessions.start(store.db, login), expected)
    t.same(await store.db.transaction((tx) => sessions.startWithin(tx, login)), expected)
    t.same(await written(store, login), nothing)
  })

  t.test(`… and where it waits for the commit by which ${name}`, async (t) => {
    const store = await openTestStore(t)
    const login = await addLogin(store)
    const { userId } = login.session
    const outcome = await meanwhile(store, [[text, [userId]]], () => sessions.start(store.db, login))
    t.equal(outcome.kind, kind)
    t.same(await written(store, login), nothing)
  })

  t.test(`a login renews nothing where ${name} since the password was checked`, async (t) => {
    const store = await openTestStore(t)
    const login = await addLogin(store)
    await sessions.start(store.db, login)
    const before = await written(store, login)
    const { userId } = login.session
    const { session, event } = again(store, userId)
    const renewal = { ...login, event, session: { ...session, id: login.session.id } }
    const outcome = await meanwhile(store, [[text, [userId]]], () => sessions.renew(store.db, renewal))
    t.equal(outcome, kind === 'behind' ? 'ended' : kind)
    t.same(await written(store, login), before)
    t.notOk(await isThere(store, renewal.session))
  })
}

t.test('after a revocation a login is good from the next millisecond on', async (t) => {
  const store = await openTestStore(t)
  const login = await addLogin(store)
  await store.sql('UPDATE user_account SET not_before = $2 WHERE id = $1', [login.session.userId, store.now()])
  store.clock.advance(0.001)
  const later = { ...login, ...again(store, login.session.userId) }
  t.same(await sessions.start(store.db, later), { kind: 'started' })
  t.ok(await isThere(store, later.session))
})

t.test(
  'an interaction that is completed meanwhile remembers no login; the user is held until that is decided',
  async (t) => {
    const store = await openTestStore(t)
    const login = await addLogin(store)
    const { bucket, idHash } = login.interaction
    const complete = 'UPDATE interaction SET completed_at = $3 WHERE bucket = $1 AND id_hash = $2'
    const outcome = await meanwhile(
      store,
      [[complete, [bucket, idHash, store.now()]]],
      () => sessions.start(store.db, login),
      // By this whoever changes the password begins: not before the login is committed.
      () =>
        t.rejects(store.sql('SELECT 1 FROM user_account WHERE id = $1 FOR UPDATE NOWAIT', [login.session.userId]), {
          code: '55P03',
        }),
    )
    t.same(outcome, { kind: 'started' })
    t.same(await written(store, login), {
      sessions: [login.session.id],
      events: [login.event.id],
      remembered: undefined,
    })
  },
)

t.test('a renewed session goes on under another cookie, and the one before is worth nothing', async (t) => {
  const store = await openTestStore(t)
  const login = await addLogin(store)
  await sessions.start(store.db, login)
  store.clock.advance(60)
  const { session, event } = again(store, login.session.userId)
  const renewal = { ...login, event, session: { ...session, id: login.session.id } }
  t.equal(await sessions.renew(store.db, renewal), 'renewed')
  const { id, tokenHash } = renewal.session
  t.match(await sessions.find(store.db, session.bucket, tokenHash, store.now()), {
    id,
    authTime: store.now(),
    idleExpiresAt: session.idleExpiresAt,
    createdAt: login.session.createdAt,
    expiresAt: login.session.expiresAt,
  })
  t.notOk(await isThere(store, login.session))
  t.same(await written(store, login), { sessions: [id], events: [login.event.id, event.id], remembered: store.now() })
})

t.test('a session that has ended, or is another user’s, is not renewed', async (t) => {
  const store = await openTestStore(t)
  const login = await addLogin(store)
  await sessions.start(store.db, login)
  const other = await addLogin(store)
  const theirs = { ...other, session: { ...other.session, id: login.session.id } }
  t.equal(await sessions.renew(store.db, theirs), 'ended')
  t.same(await written(store, other), nothing)

  // As a revocation does it: the turn first, then the session. Whoever renews comes after it.
  const { session, event } = again(store, login.session.userId)
  const renewal = { ...login, event, session: { ...session, id: login.session.id } }
  const outcome = await meanwhile(
    store,
    [
      ['SELECT pg_advisory_xact_lock(7236402)'],
      ['UPDATE session SET ended_at = $2 WHERE id = $1', [login.session.id, store.now()]],
    ],
    () => sessions.renew(store.db, renewal),
    // Nothing is held while it waits for its turn, so nobody who revokes the user waits for it.
    () => store.sql('SELECT 1 FROM user_account WHERE id = $1 FOR UPDATE NOWAIT', [login.session.userId]),
  )
  t.equal(outcome, 'ended')
  t.notOk(await isThere(store, renewal.session))
  t.same((await written(store, login)).events, [login.event.id])
})

t.test(
  'of logins and a change of the password at once, from two processes, no session of the old one is left',
  async (t) => {
    const store = await openTestStore(t)
    const login = await addLogin(store)
    const pools = [store.db, store.another()]
    const { userId } = login.session
    const logins = Array.from({ length: 40 }, () => ({ ...login, ...again(store, userId) }))
    const [outcomes] = await Promise.all([
      Promise.all(logins.map((one, index) => sessions.start(pools[index % 2]!, one))),
      store.sql(`UPDATE user_account SET password_hash = 'another', not_before = $2 WHERE id = $1`, [
        userId,
        store.now(),
      ]),
    ])
    const started = logins.filter((_, index) => outcomes[index]?.kind === 'started')
    const { sessions: left, events } = await written(store, login)
    t.same(new Set(left), new Set(started.map(({ session }) => session.id)), 'those that began came before')
    t.same(new Set(events), new Set(started.map(({ event }) => event.id)))
    for (const { session } of started) t.notOk(await isThere(store, session), 'and have ended by it')
  },
)
