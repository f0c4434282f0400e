import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createCommandLine } from '../support/command.js'
import { createTestServer } from '../support/server.js'

const server = await createTestServer(t)
const api = await server.createResource('https://api.example', 'read write')
const client = await server.createService('read write')
const user = await server.createUser()
const { run, folder } = createCommandLine(t, { url: server.databaseUrl })
// Commands go by the clock of the machine.
server.clock.set(new Date())

async function json(args: readonly string[]) {
  const result = await run(['api-key', ...args, '--json'])
  t.match(result, { status: 0 }, result.stderr)
  return result.json()
}

async function isActive(key: string): Promise<boolean> {
  const reply = await server.post('/introspect', { token: key }, { authorization: api.basic })
  return reply.json().active
}

t.test('a key is made, shown, rotated and revoked', async (t) => {
  const made = await json(['create', '--owner', user.email, '--name', 'Report', '--scope', 'read', '--expires', '30d'])
  t.match(made, {
    owner: { kind: 'user', id: user.id },
    scope: 'read',
    resources: ['https://api.example'],
    state: 'live',
  })
  t.match(made.key, /^sk_live_[0-9A-Za-z]{65}$/)
  const days = (Date.parse(made.expires_at) - Date.parse(made.created_at)) / 86_400_000
  t.equal(days, 30)
  t.equal(await isActive(made.key), true)

  const { key: _, ...described } = made
  t.same(await json(['show', made.id]), described, 'the key itself is never shown again')
  t.match(await json(['list', '--owner', user.id]), [{ id: made.id }])

  const rotated = await json(['rotate', made.id, '--overlap', '1h'])
  t.match(rotated, {
    name: 'Report',
    scope: 'read',
    previous: { id: made.id, state: 'rotated', successor: rotated.id },
  })
  t.equal(await isActive(made.key), true)
  t.match(await run(['api-key', 'rotate', made.id]), { status: 1, stderr: /has a successor already/ })

  t.match(await json(['revoke', rotated.id]), { ended: [rotated.id], successors: [] })
  t.equal(await isActive(rotated.key), false)
  t.match(await run(['api-key', 'revoke', rotated.id]), { status: 1, stderr: /was over before/ })
  t.match(await json(['list', '--owner', user.id]), [{ id: made.id }], 'what has ended is left out')
  t.equal((await json(['list', '--owner', user.id, '--all'])).length, 2)
})

t.test('a person reads the same', async (t) => {
  const made = await run([
    ...['api-key', 'create', '--owner', client.clientId, '--name', 'Import', '--scope', 'read write'],
    ...['--allow', '192.0.2.0/24', '--expires', 'never', '--environment', 'test'],
  ])
  t.match(made, { status: 0, stderr: /never expires/ })
  t.match(made.stdout, /key +sk_test_[0-9A-Za-z]{65}\nKeep the key now: it is not shown again\.\n$/)
  const [, id = ''] = / id +(\S+)/.exec(made.stdout) ?? []
  t.match(
    (await run(['api-key', 'show', id])).stdout,
    /networks +192\.0\.2\.0\/24\n[\s\S]*expires +never\n +state +live\n/,
  )
  t.match((await run(['api-key', 'list'])).stdout, new RegExp(`${id} +Import +${client.clientId}`))
  t.match(
    (await run(['api-key', 'revoke', id, '--replace'])).stdout,
    /Ended one API key\.\n[\s\S]*sk_test_[0-9A-Za-z]{65}\n/,
  )
})

t.test('a key is shown as used also where nobody knows from where, and taken back by its text', async (t) => {
  const made = await json(['create', '--owner', user.email, '--name', 'Shown', '--scope', 'read'])
  t.equal(await isActive(made.key), true)
  await server.ctx.apiKeyUse.flush()
  t.match((await run(['api-key', 'show', made.id])).stdout, /last used +\S[^\n]*\n/)
  t.notMatch((await run(['api-key', 'show', made.id])).stdout, /undefined/)
  const whole = await run(['api-key', 'show', made.key])
  t.match(whole, { status: 1, stderr: /no id of an API key/ })
  t.notOk(whole.stderr.includes(made.key.slice(20)), 'a whole key is not repeated')
  t.match(await run(['revoke', '--token', made.key]), { status: 0, stdout: /Revoked the token/ })
  t.equal(await isActive(made.key), false)
  t.match(await run(['revoke', '--token', made.key]), { status: 1, stderr: /was revoked before/ })
})

t.test('a publishable key, and one that signs', async (t) => {
  const page = ['--publishable', '--origin', 'https://shop.example', '--scope', 'read']
  t.match(await json(['create', '--owner', client.clientId, '--name', 'Widget', ...page]), {
    key: /^pk_live_/,
    kind: 'publishable',
    origins: ['https://shop.example'],
  })
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
  writeFileSync(join(folder, 'public.jwk'), JSON.stringify({ ...jwk, kid: 'ignored' }))
  const signer = await json([
    ...['create', '--owner', client.clientId, '--name', 'Signer', '--scope', 'read', '--public-key', 'public.jwk'],
  ])
  t.match(signer, { kind: 'signing', prefix: 'sig', jwk })
  t.notOk('key' in signer)
})

t.test('attack 116: all keys of an owner end at once, with successors', async (t) => {
  const keys = []
  for (const name of ['one', 'two']) {
    keys.push(await json(['create', '--owner', user.email, '--name', name, '--scope', 'read']))
  }
  const { ended, successors } = await json(['revoke', '--owner', user.email, '--replace'])
  for (const { id, key, name } of keys) {
    t.ok(ended.includes(id))
    t.equal(await isActive(key), false)
    const successor = successors.find((each: { previous: string }) => each.previous === id)
    t.match(successor, { name })
    t.equal(await isActive(successor.key), true)
  }
  t.equal((await json(['revoke', '--all'])).successors.length, 0)
  t.same(await json(['list']), [])
})

t.test('what is meant must be said', async (t) => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['revoke'], /ID of a key, or one of --owner, --prefix and --all/],
    [['revoke', 'x', '--all'], /ID of a key, or one of/],
    [['revoke', '--all', '--prefix', 'sk'], /not both/],
    [['rotate', 'x', '--overlap', 'soon'], /--overlap is not a duration/],
    [['create', '--owner', 'x', '--name', 'n', '--scope', 's', '--expires', '1 month'], /--expires is not a duration/],
  ]
  for (const [args, message] of cases) t.match(await run(['api-key', ...args]), { status: 2, stderr: message })
  const unknown = await run(['api-key', 'show', 'x'])
  t.match(unknown, { status: 1, stderr: /That is no id of an API key\. `ostiary api-key list` shows what there is/ })
  const nobody = ['create', '--name', 'n', '--scope', 'read', '--owner']
  t.match(await run(['api-key', ...nobody, 'nobody@example.com']), { status: 1, stderr: /no such user/ })
  t.match(await run(['api-key', ...nobody, 'nobody']), { status: 1, stderr: /no client/i })
})
