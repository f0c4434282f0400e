import t from 'tap'
import { sessions } from '../../src/store/index.js'
import { addSession, addUser, openTestStore, type TestSession, type TestStore } from '../support/store.js'

const find = (store: TestStore, { bucket, tokenHash }: TestSession) =>
  sessions.find(store.db, bucket, tokenHash, store.now())

t.test('a session is found by its bucket and the hash of its cookie, with its user', async (t) => {
  const store = await openTestStore(t)
  const user = await addUser(store)
  const session = await addSession(store, user.id)
  t.match(await find(store, session), {
    id: session.id,
    userId: user.id,
    authTime: store.now(),
    expiresAt: store.later(7 * 86_400),
    idleExpiresAt: store.later(12 * 3600),
    user: { email: user.email, name: undefined },
  })
  t.equal(await find(store, { ...session, bucket: session.bucket + 1 }), undefined)
  t.equal(await find(store, { ...session, tokenHash: store.random.bytes(32) }), undefined)
  t.match(await sessions.findById(store.db, session.id), { bucket: session.bucket, userId: user.id })
  t.equal(await sessions.findById(store.db, store.random.uuid()), undefined)
})

t.test('it ends when it is idle, when its time is over, and with its user', async (t) => {
  const store = await openTestStore(t)
  const stands = async (session: TestSession) => (await find(store, session)) !== undefined
  const user = await addUser(store)
  const session = await addSession(store, user.id)
  store.clock.advance(12 * 3600 - 0.001)
  t.equal(await stands(session), true)
  store.clock.advance(0.001)
  t.equal(await stands(session), false, 'idle')

  const extended = await addSession(store, user.id, 60)
  await sessions.extend(store.db, (await find(store, extended))!, store.later(3600))
  store.clock.advance(59.999)
  t.equal(await stands(extended), true)
  store.clock.advance(0.001)
  t.equal(await stands(extended), false, 'however long it might be idle')

  const ends: Readonly<Record<string, string>> = {
    'the session has ended': 'UPDATE session SET ended_at = $2 WHERE user_id = $1',
    'the user was revoked': 'UPDATE user_account SET not_before = $2 WHERE id = $1',
    'the user is disabled': 'UPDATE user_account SET disabled_at = $2 WHERE id = $1',
  }
  for (const [name, text] of Object.entries(ends)) {
    const other = await addUser(store)
    const ended = await addSession(store, other.id)
    await store.sql(text, [other.id, store.now()])
    t.equal(await stands(ended), false, name)
  }
  const revoked = await addUser(store)
  await store.sql('UPDATE user_account SET not_before = $2 WHERE id = $1', [revoked.id, store.now()])
  store.clock.advance(0.001)
  t.equal(await stands(await addSession(store, revoked.id)), true, 'a login after that is good')
  const gone = await addUser(store)
  const left = await addSession(store, gone.id)
  await store.sql('DELETE FROM user_account WHERE id = $1', [gone.id])
  t.equal(await stands(left), false, 'nobody’s session')
})

t.test('extend moves the end of the idle time, never back, from two processes at once', async (t) => {
  const store = await openTestStore(t)
  const session = await addSession(store, (await addUser(store)).id)
  const found = (await find(store, session))!
  store.clock.advance(3600)
  const pools = [store.db, store.another()]
  await Promise.all(
    Array.from({ length: 50 }, (_, index) => sessions.extend(pools[index % 2]!, found, store.later(12 * 3600 - index))),
  )
  t.same((await find(store, session))?.idleExpiresAt, store.later(12 * 3600))
  await sessions.extend(store.db, found, store.later(60))
  t.same((await find(store, session))?.idleExpiresAt, store.later(12 * 3600))
})
