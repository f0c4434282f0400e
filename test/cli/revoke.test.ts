import t from 'tap'
import { createCommandLine } from '../support/command.js'
import { application, introspect, openScene, refresh, tokensFor } from '../support/tokens.js'

const scene = await openScene(t)
const { server, client, api, user } = scene
const { run } = createCommandLine(t, { url: server.databaseUrl })
// Commands go by the clock of the machine.
server.clock.set(new Date())

const isActive = async (token: string): Promise<boolean> => (await introspect(server, api, token)).active

async function revoke(args: readonly string[], stdin?: string) {
  const result = await run(['revoke', ...args, '--json'], stdin === undefined ? {} : { stdin })
  t.match(result, { status: 0 }, result.stderr)
  return result.json()
}

t.test('beside a running server, an access token ends at once; its grant lives on', async (t) => {
  const { access_token, refresh_token } = await tokensFor(scene)
  t.equal(await isActive(access_token), true)
  t.same(await revoke(['--token', '-'], `${access_token}\n`), { revoked: 'token' })
  t.equal(await isActive(access_token), false)
  t.equal((await refresh(server, client, refresh_token)).statusCode, 200)
  const [event] = (await server.audit('token.revoked')).slice(-1)
  t.match(event, { actor: 'operator', reason: 'revoked_by_operator', clientId: client.clientId })
})

t.test('whoever runs the command need not know by which address the server goes', async (t) => {
  const { access_token } = await tokensFor(scene)
  const elsewhere = createCommandLine(t, { url: server.databaseUrl }, { PORT: '4711' })
  const revoked = await elsewhere.run(['revoke', '--token', '-'], { stdin: access_token })
  t.match(revoked, { status: 0, stdout: 'Revoked the token.\n' }, revoked.stderr)
  t.equal(await isActive(access_token), false)
})

t.test('RFC 7009 §2.1: a refresh token ends with its grant and all that came of it', async (t) => {
  const { access_token, refresh_token } = await tokensFor(scene)
  await revoke(['--token', refresh_token])
  t.equal(await isActive(access_token), false)
  t.match((await refresh(server, client, refresh_token)).json(), { error: 'invalid_grant' })
  const again = await run(['revoke', '--token', refresh_token])
  t.match(again, { status: 1, stdout: '' })
  t.notMatch(again.stderr, refresh_token, 'and no message repeats it')
})

t.test('a grant by its id, and a session by its sid', async (t) => {
  const first = await tokensFor(scene)
  t.same(await revoke(['--grant', first.issued.grantId]), { revoked: 'grant', id: first.issued.grantId })
  t.equal(await isActive(first.access_token), false)
  t.match((await refresh(server, client, first.refresh_token)).json(), { error: 'invalid_grant' })

  const second = await tokensFor(scene)
  await revoke(['--session', second.issued.sid])
  t.equal(await isActive(second.access_token), false)
  t.match((await refresh(server, client, second.refresh_token)).json(), { error: 'invalid_grant' })
})

t.test('a signing key: what it signed ends, what others sign does not', async (t) => {
  server.clock.set(new Date())
  const { access_token } = await tokensFor(scene)
  const { kid } = JSON.parse(Buffer.from(access_token.split('.')[0] ?? '', 'base64url').toString())
  t.same(await revoke(['--key', kid]), { revoked: 'key', id: kid })
  t.equal(await isActive(access_token), false)
  const again = await run(['revoke', '--key', kid])
  t.match(again, { status: 1, stderr: /There is no signing key/ })

  await server.refresh()
  const next = await tokensFor(scene)
  t.equal(await isActive(next.access_token), true)
  t.match(await run(['key', 'rotate', '--revoke']), { status: 2, stderr: /goes with --now/ })
  const all = await run(['key', 'rotate', '--now', '--revoke', '--json'])
  t.equal(all.status, 0, all.stderr)
  t.equal(all.json().revoked.length, 2, 'one of each algorithm')
  t.equal(await isActive(next.access_token), false)
  await server.refresh()
  t.equal(await isActive((await tokensFor(scene)).access_token), true)
})

t.test('all of a client, and all of a user; both can have new ones', async (t) => {
  const other = {
    ...scene,
    client: await server.createClient(application),
    user: await server.createUser('bo@example.com'),
  }
  for (const [args, who] of [
    [['--client', other.client.clientId], other],
    [['--user', user.email], scene],
  ] as const) {
    server.clock.set(new Date())
    const before = await tokensFor(who)
    await revoke(args)
    t.equal(await isActive(before.access_token), false, args.join(' '))
    t.match((await refresh(server, who.client, before.refresh_token)).json(), { error: 'invalid_grant' })
    // The server of this test hears of nothing by itself.
    await server.refresh()
    server.clock.set(new Date(Date.now() + 2_000))
    t.equal(await isActive((await tokensFor(who)).access_token), true)
  }
})
