import t from 'tap'
import { authenticateByPassword, findSession, setPassword, startSession } from '../../src/identity/index.js'
import { revoke } from '../../src/revocation/index.js'
import type { Session } from '../../src/store/index.js'
import { issueCode } from '../support/grants.js'
import { createTestServer } from '../support/server.js'

const api = 'https://api.example.com'
const by = { actor: 'operator', reason: 'test' }

t.test('a token that is issued after a revocation does not outlive another one in the same second', async (t) => {
  const server = await createTestServer(t)
  const resource = await server.createResource(api, 'read')
  const client = await server.createClient({ scope: 'read' })
  const user = await server.createUser()
  const introspect = async (token: string) =>
    (await server.post('/introspect', { token }, { authorization: resource.basic })).json()
  const getToken = async () => {
    const code = await issueCode(server, client, user.id, { scope: ['read'], resources: [api] })
    return (await server.post('/token', code.form, { authorization: client.basic })).json().access_token
  }
  server.clock.advance(0.2)
  await revoke(server.ctx, { kind: 'client', clientId: client.clientId }, by)
  server.clock.advance(0.1)
  const token = await getToken()
  t.match(await introspect(token), { active: true }, 'issued after the instant, so it is good')
  t.ok((await introspect(token)).iat * 1000 <= server.clock.now().getTime(), 'and not in the future')

  await revoke(server.ctx, { kind: 'user', userId: user.id }, by)
  t.same(await introspect(token), { active: false })
})

t.test(
  'a token that is issued while a revocation waits for its commit ends with it, also in the next second',
  async (t) => {
    const server = await createTestServer(t)
    const resource = await server.createResource(api, 'read')
    const service = await server.createService('read')
    const beside = await createTestServer(t, { beside: server })
    // As long as this transaction is open, the revocation waits: its instant is taken, and nobody has heard of it.
    const blocker = await server.ctx.db.pool.connect()
    await blocker.query('BEGIN')
    await blocker.query('SELECT pg_advisory_xact_lock(7236402)')
    const revoked = revoke(server.ctx, { kind: 'client', clientId: service.clientId }, by)
    const waits = 'SELECT 1 FROM pg_locks WHERE locktype = $1 AND NOT granted'
    while ((await blocker.query(waits, ['advisory'])).rows.length === 0);
    server.clock.advance(1)
    const form = { grant_type: 'client_credentials' }
    const { access_token } = (await beside.post('/token', form, { authorization: service.basic })).json()
    await blocker.query('COMMIT')
    blocker.release()
    await revoked
    const reply = await beside.post('/introspect', { token: access_token }, { authorization: resource.basic })
    t.same(reply.json(), { active: false })
  },
)

t.test('a login by a password that is changed before its session begins gets none', async (t) => {
  const server = await createTestServer(t)
  const user = await server.createUser()
  const origin = { ip: '192.0.2.1' }
  const authenticated = await authenticateByPassword(
    server.ctx,
    { username: user.email, password: user.password },
    origin,
  )
  await setPassword(server.ctx, user.id, 'another battery staple', { actor: 'operator' })
  const login = { ...authenticated!, previous: undefined, origin }
  t.equal(await startSession(server.ctx, login), undefined)
})

t.test('a password change and a login at once: no session of the old password is left', async (t) => {
  const server = await createTestServer(t, { now: new Date() })
  const user = await server.createUser()
  const origin = { ip: '192.0.2.1' }
  const authenticated = await authenticateByPassword(
    server.ctx,
    { username: user.email, password: user.password },
    origin,
  )
  await Promise.all([
    ...Array.from({ length: 20 }, () => startSession(server.ctx, { ...authenticated!, previous: undefined, origin })),
    setPassword(server.ctx, user.id, 'another battery staple', { actor: 'operator' }),
  ])
  const { rows } = await server.ctx.db.pool.query(
    `SELECT 1 FROM session s JOIN user_account u ON u.id = s.user_id WHERE s.created_at > u.not_before`,
  )
  t.same(rows, [])
})

t.test('a login whose user is revoked before its session begins gets one that stands', async (t) => {
  const server = await createTestServer(t)
  const user = await server.createUser()
  const origin = { ip: '192.0.2.1' }
  const credentials = { username: user.email, password: user.password }
  const logIn = async (previous?: Session, meanwhile?: () => Promise<void>) => {
    const authenticated = await authenticateByPassword(server.ctx, credentials, origin)
    await meanwhile?.()
    const started = await startSession(server.ctx, { ...authenticated!, previous, origin })
    return (await findSession(server.ctx, started!.cookie, {}))!
  }
  const endAll = () => revoke(server.ctx, { kind: 'user', userId: user.id }, by)
  const first = await logIn(undefined, endAll)
  t.equal(first.userId, user.id)
  // The one it had is over, so it is not renewed.
  const second = await logIn(first, endAll)
  t.not(second.id, first.id)
  t.equal((await logIn(second)).id, second.id, 'one that stands is')
})

t.test('a login that begins no session leaves the one before as it was', async (t) => {
  const server = await createTestServer(t)
  const first = await server.createUser()
  const second = await server.createUser('second@example.com')
  const origin = { ip: '192.0.2.1' }
  const authenticate = async ({ email, password }: typeof first) =>
    (await authenticateByPassword(server.ctx, { username: email, password }, origin))!
  const { cookie } = (await startSession(server.ctx, {
    ...(await authenticate(first)),
    previous: undefined,
    origin,
  }))!
  const previous = await findSession(server.ctx, cookie, {})
  for (const user of [first, second]) {
    const { passwordHash: _, ...authenticated } = await authenticate(user)
    const login = { ...authenticated, passwordHash: 'of another password', previous, origin }
    t.equal(await startSession(server.ctx, login), undefined)
    t.same(await findSession(server.ctx, cookie, {}), previous)
  }
  const replaced = await startSession(server.ctx, { ...(await authenticate(second)), previous, origin })
  t.match(await findSession(server.ctx, replaced!.cookie, {}), { userId: second.id })
  t.equal(await findSession(server.ctx, cookie, {}), undefined, 'another user’s ends')
})
