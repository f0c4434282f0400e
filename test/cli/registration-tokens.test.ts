import t from 'tap'
import { createCommandLine } from '../support/command.js'
import { metadata, register, registered } from '../support/registration.js'
import { createTestServer } from '../support/server.js'

const server = await createTestServer(t, { env: { REGISTRATION: 'token' }, now: new Date() })
const { run } = createCommandLine(t, { url: server.databaseUrl }, { REGISTRATION: 'token' })

t.test('a registration token is made, listed and revoked', async (t) => {
  const created = await run(['registration-token', 'create', '--name', 'Portal', '--uses', '2', '--expires', '1d'])
  t.equal(created.status, 0)
  t.equal(created.stderr, '')
  t.match(created.stdout, 'it is not shown again')
  const token = /ori_0_[\w-]{43}/.exec(created.stdout)?.[0] ?? ''
  t.equal((await register(server, metadata, { token })).statusCode, 201)

  const [listed] = (await run(['registration-token', 'list', '--json'])).json()
  t.match(listed, { name: 'Portal', uses: 1, max_uses: 2 })
  const text = await run(['registration-token', 'list'])
  t.match(text.stdout, '1 of 2')
  t.notMatch(text.stdout, token)

  t.equal((await run(['registration-token', 'revoke', listed.id])).status, 0)
  t.equal((await register(server, metadata, { token })).statusCode, 401)
  const again = await run(['registration-token', 'revoke', listed.id])
  t.equal(again.status, 1)
  t.match(again.stderr, '`ostiary registration-token list` shows what there is.')
  t.match((await run(['registration-token', 'list'])).stdout, 'There is no registration token.')
  const events = [
    ...(await server.audit('registration_token.created')),
    ...(await server.audit('registration_token.revoked')),
  ]
  t.match(events, [{ actor: 'operator' }, { actor: 'operator', detail: { registration_token: listed.id } }])
})

t.test('what cannot be is refused', async (t) => {
  for (const args of [
    ['--uses', '0'],
    ['--expires', 'soon'],
    ['--uses', 'x'],
  ]) {
    t.equal((await run(['registration-token', 'create', ...args])).status, 2, args.join(' '))
  }
  for (const args of [
    ['--expires', '1s'],
    ['--expires', '20y'],
    ['--name', 'a\u0007b'],
  ]) {
    t.equal((await run(['registration-token', 'create', ...args])).status, 1, args.join(' '))
  }
  const off = createCommandLine(t, { url: server.databaseUrl })
  t.match((await off.run(['registration-token', 'create'])).stderr, 'REGISTRATION is off')
})

t.test('client list and client show say who registered itself, and until when it is kept', async (t) => {
  const token = (await run(['registration-token', 'create', '--json'])).json().token
  const { clientId } = await registered(server, {}, { token })
  const shown = await run(['client', 'show', clientId])
  t.match(shown.stdout, /registered +by itself, unused until \d{4}-/)
  t.match((await run(['client', 'show', clientId, '--json'])).json(), { self_registered: true, unused_until: /^\d/ })
  t.match((await run(['client', 'list'])).stdout, /BY ITSELF[\s\S]*until \d{4}-\d{2}-\d{2} /)
  const other = await server.createClient()
  t.match((await run(['client', 'show', other.clientId])).stdout, /registered +by an operator/)
})
