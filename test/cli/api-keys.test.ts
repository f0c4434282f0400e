import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createCommandLine, testMasterKey } from '../support/command.js'
import { copyKeys } from '../support/key-copies.js'
import { newPublicJwk } from '../support/key-pairs.js'
import { startProcess } from '../support/process.js'
import { createTestServer, sql } from '../support/server.js'
import { withClient } from '../support/test-postgres.js'

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
    /networks +192\.0\.2\.0\/24\n +managed +yes: [\s\S]*expires +never\n +state +live\n/,
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
  t.match(await run(['api-key', 'rotate', signer.id]), {
    status: 2,
    stderr: /another key pair: .*by --public-key FILE/,
  })
  const rotate = ['rotate', signer.id, '--public-key']
  t.match(await run(['api-key', ...rotate, 'public.jwk']), { status: 1, stderr: /make a new key pair/ })
  const next = newPublicJwk()
  writeFileSync(join(folder, 'next.jwk'), JSON.stringify(next))
  const rotated = await json([...rotate, 'next.jwk'])
  t.match(rotated, { kind: 'signing', jwk: next, previous: { id: signer.id, state: 'rotated' } })
  t.notOk('key' in rotated)
})

t.test('a key in its overlap is ended, and its successor stays the only one', async (t) => {
  const { id } = await json(['create', '--owner', user.email, '--name', 'Chain', '--scope', 'read'])
  const next = await json(['rotate', id])
  const ended = await run(['api-key', 'revoke', id, '--replace', '--json'])
  t.match(ended.json(), { ended: [id], successors: [] })
  t.match(ended.stderr, `It has a successor already, ${next.id}, and gets no other.`)
  t.equal(await isActive(next.key), true)
  await json(['revoke', next.id])
})

t.test('attack 116: a key whose successor is over is followed by another, and both commands say so', async (t) => {
  const { id } = await json(['create', '--owner', user.email, '--name', 'Chain', '--scope', 'read'])
  const next = await json(['rotate', id])
  await json(['revoke', next.id])
  t.match(await run(['api-key', 'rotate', id]), {
    status: 1,
    stderr: `has a successor already, ${next.id}, which is over: make a new one`,
  })
  const ended = await run(['api-key', 'revoke', id, '--replace', '--json'])
  const [made] = ended.json().successors
  t.match(ended.stderr, `It had a successor before, ${next.id}, which is over.`)
  t.equal(await isActive(made?.key ?? ''), true)
  t.match(await json(['show', id]), { state: 'ended', successor: made?.id })
  await json(['revoke', made?.id ?? ''])
})

t.test('attack 116: a signing key that ends gets no successor, and the command says so', async (t) => {
  writeFileSync(join(folder, 'signer.jwk'), JSON.stringify(newPublicJwk()))
  const make = ['create', '--owner', user.email, '--name', 'Signer', '--scope', 'read', '--public-key', 'signer.jwk']
  for (const end of [(id: string) => [id], () => ['--owner', user.email]]) {
    const [one, two] = [await json(make), await json(make)]
    const text = await run(['api-key', 'revoke', ...end(one.id), '--replace'])
    t.match(text, { status: 0 })
    t.match(text.stdout, /signing keys? got no successor, since whoever has the private half would have that too/)
    t.match(text.stdout, new RegExp(`api-key create --public-key FILE\`\\.\n[^]*  ${one.id}\n`))
    const described = end(two.id)[0] === two.id ? await json(['revoke', two.id, '--replace']) : undefined
    if (described) t.match(described, { ended: [two.id], successors: [], need_key_pair: [two.id] })
    t.match(await json(['show', two.id]), { state: 'ended' })
  }
  const { id } = await json(make)
  t.match(await json(['revoke', '--owner', user.email, '--replace']), { successors: [], need_key_pair: [id] })
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

t.test('successors are printed as they are made, and an interrupted command says how to go on', async (t) => {
  const make = ['create', '--owner', user.email, '--name', 'Many', '--scope', 'read', '--prefix', 'many']
  for (const flags of [[], ['--json']]) {
    const { id } = await json(make)
    await copyKeys(server, id, 149)
    const stop = new AbortController()
    const onOutput = (text: string): void => {
      if (/many_live_/.test(text)) stop.abort()
    }
    const end = ['api-key', 'revoke', '--prefix', 'many', '--replace', ...flags]
    const broken = await run(end, { signal: stop.signal, onOutput })
    t.match(broken, { status: 1, stderr: /All of them have ended, .*--continue [0-9a-f-]{36}\n$/ })
    t.equal(broken.stdout.match(/many_live_/g)?.length, 100)
    const [, endId = ''] = /--continue (\S+)/.exec(broken.stderr) ?? []
    const rest = await run(['api-key', 'revoke', '--continue', endId, ...flags])
    t.match(rest, { status: 0, stderr: '' })
    t.equal(rest.stdout.match(/many_live_/g)?.length, 50)
    if (flags.length > 0) {
      t.match(broken.json(), { end: endId, successors: { length: 100 }, ended: { length: 150 } })
      t.match(rest.json(), { end: endId, successors: { length: 50 } })
    } else {
      t.match(broken.stdout, new RegExp(`^They have ended, everywhere\\..*--continue ${endId} goes on\\.\nOWNER `))
      t.match(rest.stdout, /\nMade 50 successors\.\nKeep the keys now: they are not shown again\.\n$/)
    }
    t.match(await run(['api-key', 'revoke', '--prefix', 'many']), { stdout: 'Ended 150 API keys.\n' })
  }
  const unknown = await run(['api-key', 'revoke', '--continue', server.ctx.random.uuid()])
  t.match(unknown, { status: 1, stdout: '', stderr: /No API keys were ended by/ })
})

t.test('who reads successors goes away: no more are made, and those that were are named', async (t) => {
  const make = ['create', '--owner', user.email, '--name', 'Piped', '--scope', 'read', '--prefix', 'piped']
  for (const flags of [[], ['--json']]) {
    const { id } = await json(make)
    await copyKeys(server, id, 249)
    let pieces = 0
    const isGone = (text: string): boolean => /piped_live_/.test(text) && ++pieces === 2
    const cut = await run(['api-key', 'revoke', '--prefix', 'piped', '--replace', ...flags], { isGone })
    t.equal(cut.status, 1)
    t.equal(cut.stdout.match(/piped_live_/g)?.length, 100)
    const [, endId = ''] = /Standard output cannot be written.*--continue (\S+)\n/.exec(cut.stderr) ?? []
    const [, unseen = '', seen = ''] =
      /\nMade, and not printed:\n((?: {2}\w{16}\n)+)Printed before that; .*:\n((?: {2}\w{16}\n)+)Give each/.exec(
        cut.stderr,
      ) ?? []
    const idsOf = (lines: string) => lines.trim().split(/\s+/)
    t.match([idsOf(unseen), idsOf(seen)], [{ length: 100 }, { length: 100 }])
    t.notMatch(cut.stderr, /\n\s+at |EPIPE/, 'no stack')
    for (const each of idsOf(seen)) t.ok(cut.stdout.includes(each))
    const live = await json(['list', '--prefix', 'piped'])
    t.same(
      live.map((key: { id: string }) => key.id).toSorted(),
      [...idsOf(unseen), ...idsOf(seen)].toSorted(),
      'all that were made are named',
    )
    const [lost = ''] = idsOf(unseen)
    t.match(await json(['rotate', lost, '--overlap', '0']), { key: /^piped_live_/, previous: { id: lost } })
    const rest = await run(['api-key', 'revoke', '--continue', endId, ...flags])
    t.equal(rest.stdout.match(/piped_live_/g)?.length, 50)
    await json(['revoke', '--prefix', 'piped'])
  }
})

t.test('nobody reads from the beginning: none is made; or only the end is missing', async (t) => {
  const make = ['create', '--owner', user.email, '--name', 'Piped', '--scope', 'read', '--prefix', 'piped']
  const { id } = await json(make)
  const none = await run(['api-key', 'revoke', '--prefix', 'piped', '--replace'], { isGone: () => true })
  t.match(none, { status: 1, stdout: '', stderr: /some have no successor yet\. Go on with: .*--continue \S+\n$/ })
  t.same(await json(['list', '--prefix', 'piped']), [])
  const [, endId = ''] = /--continue (\S+)/.exec(none.stderr) ?? []
  const last = await run(['api-key', 'revoke', '--continue', endId], { isGone: (text) => /Made one/.test(text) })
  t.match(last, { status: 1, stdout: /piped_live_/, stderr: /All of them have ended\.\nPrinted before that; / })
  const [next] = await json(['list', '--prefix', 'piped'])
  t.match(await json(['show', id]), { successor: next.id })

  const single = await run(['api-key', 'revoke', next.id, '--replace'], { isGone: () => true })
  const [another] = await json(['list', '--prefix', 'piped'])
  t.match(single, {
    status: 1,
    stderr: new RegExp(`perhaps seen by nobody:\\n  ${another.id}\\nGive each whose key is lost`),
  })
  const rotated = await run(['api-key', 'rotate', another.id, '--overlap', '0'], { isGone: () => true })
  const [latest] = await json(['list', '--prefix', 'piped'])
  t.match(rotated.stderr, latest.id)
  const made = await run(['api-key', ...make], { isGone: () => true })
  const newest = (await json(['list', '--prefix', 'piped'])).find((key: { id: string }) => key.id !== latest.id)
  t.match(made, { status: 1, stderr: newest.id })
  await json(['revoke', '--prefix', 'piped'])
  const list = await run(['api-key', 'list'], { isGone: () => true })
  t.match(list, {
    status: 1,
    stderr: /^ostiary: Standard output cannot be written any more \(EPIPE\): it was cut off\.\n$/,
  })
})

t.test('a process whose reader is gone ends without a stack', async (t) => {
  const { id } = await json(['create', '--owner', user.email, '--name', 'Pipe', '--scope', 'read', '--prefix', 'pipe'])
  await copyKeys(server, id, 499)
  const env = { DATABASE_URL: server.databaseUrl, MASTER_KEY: testMasterKey }
  const args = ['api-key', 'revoke', '--prefix', 'pipe', '--replace', '--json']
  const { child, stderr, ended } = startProcess(t, { args, env, cwd: folder })
  child.stdout?.once('data', () => child.stdout?.destroy())
  t.match(await ended, { code: 1, signal: null })
  t.match(stderr(), /^ostiary: Standard output cannot be written any more: nobody reads it\. All of them have ended/)
  t.notMatch(stderr(), /\n\s+at |Error/)
  const live = await json(['list', '--prefix', 'pipe'])
  for (const key of live) t.ok(stderr().includes(key.id), 'each that was made is named')
  await json(['revoke', '--prefix', 'pipe'])
})

t.test('keys whose rows somebody holds have ended, and are not counted as none', async (t) => {
  const { id } = await json(['create', '--owner', user.email, '--name', 'x', '--scope', 'read', '--prefix', 'held'])
  await withClient(server.databaseUrl, async (client) => {
    await client.query('BEGIN')
    await client.query('SELECT FROM api_key WHERE id = $1 FOR UPDATE', [id])
    for (const flags of [[], ['--replace']]) {
      const { stdout } = await run(['api-key', 'revoke', '--prefix', 'held', ...flags])
      t.match(stdout, 'All of them have ended, everywhere. The rows of 0 API keys say so; the worker writes the rest.')
    }
    t.same(await json(['revoke', '--prefix', 'held']), {
      ended: [],
      successors: [],
      need_key_pair: [],
      complete: false,
    })
    await client.query('ROLLBACK')
  })
  t.same(await json(['revoke', '--prefix', 'held']), { ended: [], successors: [], need_key_pair: [], complete: true })
})

t.test('a command that hears nothing of its end says how to find out', async (t) => {
  await sql(
    server,
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''refused''; END'`,
  )
  await sql(server, 'CREATE TRIGGER refuse BEFORE INSERT ON api_key_end EXECUTE FUNCTION refuse()')
  const { status, stdout, stderr } = await run(['api-key', 'revoke', '--all', '--replace'])
  await sql(server, 'DROP TRIGGER refuse ON api_key_end')
  t.match([status, stdout], [1, ''])
  const [, endId = ''] = /Whether they have ended is not known: .*--continue (\S+) /.exec(stderr) ?? []
  t.match(stderr, /refused/)
  t.match(await run(['api-key', 'revoke', '--continue', endId]), { status: 1, stderr: /No API keys were ended by/ })
})

t.test('what is meant must be said', async (t) => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['revoke'], /ID of a key, or one of --owner, --prefix, --all and --continue/],
    [['revoke', 'x', '--all'], /ID of a key, or one of/],
    [['revoke', '--all', '--prefix', 'sk'], /not both/],
    [['rotate', 'x', '--overlap', 'soon'], /--overlap is not a duration/],
    [['create', '--owner', 'x', '--name', 'n', '--scope', 's', '--expires', '1 month'], /--expires is not a duration/],
  ]
  for (const [args, message] of cases) t.match(await run(['api-key', ...args]), { status: 2, stderr: message })
  const made = ['create', '--owner', user.email, '--name', 'n', '--scope', 'read', '--allow', '2001:db8::1/64']
  t.match(await run(['api-key', ...made]), {
    status: 1,
    stderr: /2001:db8::1\/64 is not a network, such as 192\.0\.2\.0\/24 or .*, with no bits behind its length\./,
  })
  const unknown = await run(['api-key', 'show', 'x'])
  t.match(unknown, { status: 1, stderr: /That is no id of an API key\. `ostiary api-key list` shows what there is/ })
  const nobody = ['create', '--name', 'n', '--scope', 'read', '--owner']
  t.match(await run(['api-key', ...nobody, 'nobody@example.com']), { status: 1, stderr: /no such user/ })
  t.match(await run(['api-key', ...nobody, 'nobody']), { status: 1, stderr: /no client/i })
})

t.test('the tier of a key is one that there is, and stays while a key has it', async (t) => {
  const tier = (...args: readonly string[]) => run(['tier', ...args])
  const create = ['create', '--owner', user.email, '--name', 'Limited', '--scope', 'read', '--tier', 'partners']
  t.match(await run(['api-key', ...create]), { status: 1, stderr: /There is no tier partners\./ })
  await tier('create', 'partners', '--limit', '10', '--window', '60')
  const { id } = await json(create)
  t.match((await tier('show', 'partners', '--json')).json(), { clients: 0, api_keys: 1 })
  t.match((await tier('show', 'partners')).stdout, /^ *API keys +1$/m)
  t.match(await tier('delete', 'partners'), { status: 1, stderr: /1 API key has the tier partners/ })
  await json(['revoke', id])
  t.match(await tier('delete', 'partners'), { status: 0 })
})
