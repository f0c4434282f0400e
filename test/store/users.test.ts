import t from 'tap'
import {
  createUser,
  describeUser,
  disableUser,
  enableUser,
  findUser,
  listUsers,
  setPassword,
} from '../../src/identity/index.js'
import { sessions, users } from '../../src/store/index.js'
import { refused } from '../support/refused.js'
import { createTestServer, sql } from '../support/server.js'
import { insertSession } from '../support/store.js'

const server = await createTestServer(t)
const { ctx, clock } = server
const by = { actor: 'operator', origin: { ip: '192.0.2.7', requestId: 'r1' } }
const password = 'four green horses walk'
const otherPassword = 'seven slow turtles swim'

t.test('a user is created with one event, and neither holds the password', async (t) => {
  const user = await createUser(ctx, { email: ' Ann.Lee@EXAMPLE.com ', name: 'Ann  Lee', admin: true, password }, by)
  t.match(user, { email: 'ann.lee@example.com', name: 'Ann Lee', admin: true })
  t.same(await findUser(ctx, 'ANN.LEE@example.com'), await findUser(ctx, user.id))
  t.same(await users.findById(ctx.db, user.id), { ...user, disabledAt: undefined, notBefore: undefined })

  const events = (await server.audit('user.created')).filter(({ subject }) => subject === user.id)
  t.match(events, [{ actor: 'operator', ip: '192.0.2.7', requestId: 'r1', detail: { admin: true } }])
  const [row] = await sql(server, 'SELECT * FROM user_account WHERE id = $1', [user.id])
  t.match(row.password_hash, /^\$argon2id\$/)
  for (const text of [JSON.stringify(events), JSON.stringify(row)]) t.notMatch(text, password)
  t.notMatch(JSON.stringify(events), 'example.com', 'nor does the event hold the address')
  t.notOk('passwordHash' in describeUser(user))
})

t.test('attack 108: of two spellings of an address, one is a user; raced too', async (t) => {
  const spellings = ['bob@example.com', 'BOB@example.com', ' bob@EXAMPLE.com', 'ｂob@example.com']
  const results = await Promise.allSettled(spellings.map((email) => createUser(ctx, { email }, by)))
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const result of results) if (result.status === 'rejected') t.match(result.reason, { kind: 'conflict' })
  t.equal((await listUsers(ctx)).filter(({ email }) => email === 'bob@example.com').length, 1)
})

t.test('what is no address, no name or no good password is refused, and nothing is written', async (t) => {
  const before = (await listUsers(ctx)).length
  for (const wrong of [
    { email: 'nobody' },
    { email: 'a＠example.com' },
    { email: 'a@example.com\r\nBcc: b@example.com' },
    { email: 'x@example.com', name: '\u202eevil' },
    { email: 'x@example.com', name: ' ' },
    { email: 'x@example.com', password: 'short' },
    { email: 'long.name@example.com', password: 'long.name@example.com' },
    { email: 'x@example.com', password: 'password1234' },
  ]) {
    await refused(t, createUser(ctx, wrong, by), { kind: 'invalid' }, JSON.stringify(wrong))
  }
  t.equal((await listUsers(ctx)).length, before)
})

t.test('what does not exist is not found', async (t) => {
  for (const who of ['nobody@example.com', '0d6c1f5e-8a3b-4f1c-9a44-1f4f9d1d7a20', 'no id', '']) {
    await refused(t, findUser(ctx, who), { kind: 'not_found', noun: 'user' }, who)
  }
  const id = '0d6c1f5e-8a3b-4f1c-9a44-1f4f9d1d7a20'
  for (const act of [disableUser, enableUser]) await refused(t, act(ctx, id, by), { kind: 'not_found' })
  await refused(t, setPassword(ctx, id, password, by), { kind: 'not_found' })
})

/** A session as a login leaves it. */
async function signIn(userId: string): Promise<() => Promise<boolean>> {
  const tokenHash = ctx.random.bytes(32)
  const now = clock.now()
  const expiresAt = new Date(now.getTime() + 3_600_000)
  const bucket = Math.floor(expiresAt.getTime() / (7 * 86_400_000))
  const id = ctx.random.uuid()
  const times = { createdAt: now, expiresAt, idleExpiresAt: expiresAt }
  await insertSession(ctx.db, { bucket, tokenHash, id, userId, ...times })
  return async () => (await sessions.find(ctx.db, bucket, tokenHash, clock.now())) !== undefined
}

t.test('attack 61: a new password ends the sessions and what was issued; the old one is worth nothing', async (t) => {
  const { id } = await createUser(ctx, { email: 'cleo@example.com', password }, by)
  const standing = await signIn(id)
  t.equal(await standing(), true)
  clock.advance(1)
  await setPassword(ctx, id, otherPassword, by)
  t.equal(await standing(), false)
  t.match(ctx.revocations.find({ kind: 'user', target: id }), { terminal: false, instant: clock.now() })

  const stored = await users.findForLogin(ctx.db, 'cleo@example.com')
  t.equal(await ctx.passwords.verify(stored?.passwordHash ?? '', password), false)
  t.equal(await ctx.passwords.verify(stored?.passwordHash ?? '', otherPassword), true)
  t.same(
    (await server.audit('user.')).filter(({ subject }) => subject === id).map(({ type, reason }) => ({ type, reason })),
    [
      { type: 'user.created', reason: undefined },
      { type: 'user.revoked', reason: 'password_changed' },
      { type: 'user.password_changed', reason: undefined },
    ],
    'in two events',
  )

  clock.advance(1)
  t.equal(await (await signIn(id))(), true, 'who signs in afterwards is in')
  await refused(t, setPassword(ctx, id, 'short', by), { kind: 'invalid' })
})

t.test('a disabled user is out until enabled, and what was before stays ended', async (t) => {
  const { id } = await createUser(ctx, { email: 'dora@example.com', password }, by)
  const standing = await signIn(id)
  clock.advance(1)
  t.equal(await disableUser(ctx, id, by), true)
  t.equal(await disableUser(ctx, id, by), false)
  t.equal(await standing(), false)
  t.same((await findUser(ctx, id)).disabledAt, clock.now())
  t.match(ctx.revocations.find({ kind: 'user', target: id }), { terminal: true })
  t.equal(await (await signIn(id))(), false, 'a login that was under way comes to nothing')

  clock.advance(1)
  t.equal(await enableUser(ctx, id, by), true)
  t.equal(await standing(), false)
  t.equal((await findUser(ctx, id)).disabledAt, undefined)
  t.match(ctx.revocations.find({ kind: 'user', target: id }), { terminal: false })

  clock.advance(1)
  const later = await signIn(id)
  t.equal(await enableUser(ctx, id, by), false, 'enabling who is not disabled ends nothing')
  t.equal(await later(), true)
  t.same(
    (await server.audit('user.')).filter(({ subject }) => subject === id).map(({ type }) => type),
    ['user.created', 'user.disabled', 'user.enabled'],
  )
})
