import t from 'tap'
import { createCommandLine, testMasterKey } from '../support/command.js'
import { createTestDatabase } from '../support/database.js'
import { withClient } from '../support/test-postgres.js'

const database = await createTestDatabase(t)
const { run } = createCommandLine(t, database)
const api = 'https://api.example.com'

async function json(args: readonly string[], stdin?: string) {
  const result = await run([...args, '--json'], stdin === undefined ? {} : { stdin })
  t.match(result, { status: 0 }, `${args.join(' ')} ${result.stderr}`)
  return result.json()
}

t.test('user create reads the password from standard input', async (t) => {
  const args = ['user', 'create', '--email', 'Ann@Example.com', '--name', 'Ann Lee', '--password-stdin']
  const created = await json(args, 'four green horses walk\r\n')
  t.match(created, { email: 'ann@example.com', name: 'Ann Lee', admin: false, id: /^[0-9a-f-]{36}$/ })
  t.match(await run(args, { stdin: 'four green horses walk' }), { status: 1, stderr: /already/ })
  const admin = ['user', 'create', '--email', 'root@example.com', '--admin', '--password-stdin']
  t.match(await json(admin, 'seven slow turtles swim'), { admin: true })
  const refused = await run(['user', 'create', '--email', 'x@example.com', '--password-stdin'], { stdin: 'hunter2' })
  t.match(refused, { status: 1, stdout: '', stderr: /shorter than 12/ })
  t.notMatch(refused.stderr, 'hunter2')
})

t.test('user list, show, disable, enable and set-password', async (t) => {
  t.same(
    (await json(['user', 'list'])).map(({ email }: { email: string }) => email),
    ['ann@example.com', 'root@example.com'],
  )
  const { id } = await json(['user', 'show', 'ANN@example.com'])
  t.match(await json(['user', 'show', id]), { email: 'ann@example.com', roles: [] })
  t.same(await json(['user', 'disable', 'ann@example.com']), { id, disabled: true, changed: true })
  t.match((await run(['user', 'show', id])).stdout, /state +disabled since/)
  t.same(await json(['user', 'enable', id]), { id, disabled: false, changed: true })
  t.same(await json(['user', 'enable', id]), { id, disabled: false, changed: false })
  const set = ['user', 'set-password', 'ann@example.com', '--password-stdin']
  t.same(await json(set, 'eight brown foxes run'), { id, password_changed: true })
  t.match(await run(set, { stdin: 'short' }), { status: 1 })
})

t.test('resource create prints by what the resource server identifies itself', async (t) => {
  const created = await json([
    ...['resource', 'create', '--identifier', api, '--scope', 'read write', '--name', 'Orders'],
    ...['--scope-description', 'read=Read your orders = all.', '--scope-lifetime', 'read=120'],
    ...['--token-format', 'opaque', '--token-lifetime', '300', '--signing-alg', 'EdDSA', '--claim', 'roles'],
  ])
  t.match(created, {
    identifier: api,
    name: 'Orders',
    client_id: /^[0-9a-f-]{36}$/,
    client_secret: /^[\w-]{43}$/,
    scope: 'read write',
    scopes: [{ name: 'read', description: 'Read your orders = all.', token_lifetime: 120 }, { name: 'write' }],
    token_format: 'opaque',
    token_lifetime: 300,
    signing_alg: 'EdDSA',
    claims: ['roles'],
    uses_roles: false,
    accepts_basic: false,
  })
  const shown = await json(['resource', 'show', api])
  t.notOk('client_secret' in shown)
  t.match(await json(['client', 'show', created.client_id]), { resource_server_of: api })
  t.match(await run(['client', 'delete', created.client_id]), { status: 1, stderr: /delete that resource/ })

  const other = await run(['resource', 'create', '--identifier', 'https://b.example.com', '--scope', 'read', '--json'])
  t.equal(other.status, 0)
  t.match(other.stderr, /warning: The scope read belongs to https:\/\/api\.example\.com too/)
  t.match(other.json(), { scope: 'read' }, 'and standard output has the document alone')
  t.equal((await json(['resource', 'list'])).length, 2)
})

t.test('resource update adds, removes and takes back', async (t) => {
  const added = await json([
    'resource',
    'update',
    api,
    '--add-scope',
    'delete',
    '--scope-description',
    'delete=Delete.',
  ])
  t.match(added, { scope: 'delete read write', token_lifetime: 300 })
  t.match(added.scopes[1], { name: 'read', description: 'Read your orders = all.', token_lifetime: 120 })
  const removed = await json([
    'resource',
    'update',
    api,
    '--remove-scope',
    'delete',
    '--scope-lifetime',
    'read=',
    '--unset',
    'token_lifetime',
  ])
  t.match(removed, { scope: 'read write', signing_alg: 'EdDSA' })
  t.notOk('token_lifetime' in removed)
  t.notOk('token_lifetime' in removed.scopes[0])
  t.match(await run(['resource', 'update', api, '--remove-scope', 'wirte']), {
    status: 2,
    stderr: /Did you mean write/,
  })
  t.match(await run(['resource', 'update', api]), { status: 2, stderr: /Nothing to change/ })
  t.match(await run(['resource', 'update', api, '--token-format', 'saml']), { status: 1, stderr: /jwt, opaque/ })
})

t.test('resource create and update switch Basic, which show and list say', async (t) => {
  const identifier = 'https://basic.example.com'
  const listed = async () => {
    const { stdout } = await run(['resource', 'list'])
    const [head = '', ...rows] = stdout.split('\n')
    const at = head.indexOf('BASIC')
    return rows.find((row) => row.startsWith(identifier))?.slice(at, at + 3)
  }
  const created = await json(['resource', 'create', '--identifier', identifier, '--scope', 'basic', '--accepts-basic'])
  t.match(created, { accepts_basic: true })
  t.equal(await listed(), 'yes')
  t.match((await run(['resource', 'show', identifier])).stdout, /^ *accepts basic +yes$/m)
  t.match(await json(['resource', 'update', identifier, '--name', 'B']), { accepts_basic: true }, 'it stays')
  t.match(await json(['resource', 'update', identifier, '--no-accepts-basic']), { accepts_basic: false })
  t.match(await json(['resource', 'show', identifier]), { accepts_basic: false })
  t.match((await listed())?.trim(), 'no')
  t.match((await run(['resource', 'show', identifier])).stdout, /^ *accepts basic +no$/m)
  const both = await run(['resource', 'update', identifier, '--accepts-basic', '--no-accepts-basic'])
  t.match(both, { status: 2, stderr: /--accepts-basic/ })
  const events = await json(['audit', 'list', '--type', 'resource.updated'])
  const switched = events.map(({ detail }: { detail: object }) => detail)
  t.match(
    switched.find((detail: { acceptsBasic?: boolean }) => detail.acceptsBasic === false),
    { resource: identifier, changed: ['acceptsBasic'] },
  )
  await json(['resource', 'delete', identifier])
})

t.test('role create, show, list, grant, withdraw and delete', async (t) => {
  const at = ['--resource', api]
  const created = await run(['role', 'create', 'editor', ...at, '--scope', 'read write', '--json'])
  t.match(created.json(), { resource: api, name: 'editor', scope: 'read write' })
  t.match(created.stderr, /uses roles from now on/)
  await json(['client', 'create', '--id', 'service', '--grant-type', 'client_credentials', '--scope', 'write'])
  const { id } = await json(['user', 'show', 'ann@example.com'])

  const user = ['--user', 'ann@example.com']
  t.match(await json(['role', 'grant', 'editor', ...at, ...user]), { kind: 'user', holder: id, changed: true })
  t.match(await json(['role', 'grant', 'editor', ...at, ...user]), { changed: false })
  t.match(await json(['role', 'grant', 'editor', ...at, '--client', 'service']), { kind: 'client', changed: true })
  t.match(await run(['role', 'grant', 'editor', ...at, '--client', 'nobody']), {
    status: 1,
    stderr: /no client nobody/,
  })
  t.same((await json(['role', 'show', 'editor', ...at])).holders, [
    { kind: 'client', holder: 'service' },
    { kind: 'user', holder: id },
  ])
  t.match(await json(['role', 'list', ...user]), [{ name: 'editor' }])
  t.match(await json(['user', 'show', id]), { roles: [{ resource: api, name: 'editor' }] })
  t.match(await json(['client', 'show', 'service']), { roles: [{ resource: api, name: 'editor' }] })

  t.match(await json(['role', 'withdraw', 'editor', ...at, ...user]), { granted: false, changed: true })
  t.match(await json(['role', 'withdraw', 'editor', ...at, ...user]), { changed: false })
  t.same(await json(['role', 'list', ...user]), [])
  await run(['role', 'create', 'reader', ...at, '--scope', 'read'])
  const first = await run(['role', 'delete', 'editor', ...at])
  t.match(first, { stdout: /Withdrew it from these.*client +service/s, stderr: '' })
  const last = await run(['role', 'delete', 'reader', ...at])
  t.match(last.stderr, /the last role of .*still uses roles: nobody gets its scopes.*--no-uses-roles/)
  t.same(await json(['role', 'list']), [])
})

t.test('resource delete says what it ended', async (t) => {
  const { client_id } = await json(['resource', 'show', api])
  const { stdout } = await run(['resource', 'delete', api])
  t.match(stdout, `Deleted the resource ${api}, with its roles and its scopes read, write.`)
  t.match(stdout, client_id)
  t.match(await run(['client', 'show', client_id]), { status: 1 })
})

t.test('key list and rotate: published before they sign, or at once', async (t) => {
  const keys = await json(['key', 'list'])
  t.match(
    keys.find(({ alg }: { alg: string }) => alg === 'ES256'),
    { state: 'signs' },
  )
  t.notMatch(JSON.stringify(keys), 'private')

  const next = await json(['key', 'rotate'])
  t.ok(next.created.length > 0)
  for (const kid of next.created)
    t.match(
      next.keys.find((key: { kid: string }) => key.kid === kid),
      { state: 'waits' },
    )
  t.match((await run(['key', 'rotate'])).stdout, 'a successor that waits')

  const now = await json(['key', 'rotate', '--now'])
  for (const kid of next.created)
    t.match(
      now.keys.find((key: { kid: string }) => key.kid === kid),
      { state: 'signs' },
    )
  const old = now.keys.find(({ kid }: { kid: string }) => kid === keys[0].kid)
  t.equal(old.state, 'retired', 'the old one signs no more')
  t.ok(Date.parse(old.expires_at) < Date.parse(old.retired_at) + 2 * 3_600_000, 'and leaves the JWKS in time')
  t.match(await json(['audit', 'list', '--type', 'key.']), [{ detail: { now: false } }, { detail: { now: true } }])
})

t.test('revoke a client and a user: each is one event', async (t) => {
  const { id } = await json(['user', 'show', 'ann@example.com'])
  t.same(await json(['revoke', '--user', 'ann@example.com']), { revoked: 'user', id })
  t.same(await json(['revoke', '--client', 'service']), { revoked: 'client', id: 'service' })
  const events = await json(['audit', 'list', '--type', 'client.revoked'])
  t.match(events, [{ actor: 'operator', client_id: 'service', reason: 'revoked_by_operator' }])
})

t.test('audit list selects, and holds no secret, address or key', async (t) => {
  const { id } = await json(['user', 'show', 'ann@example.com'])
  const ofUser = await json(['audit', 'list', '--user', 'ann@example.com'])
  t.ok(ofUser.length > 3)
  for (const event of ofUser) t.equal(event.subject, id)
  for (const event of await json(['audit', 'list', '--client', 'service'])) t.equal(event.client_id, 'service')
  t.equal((await json(['audit', 'list', '--limit', '2'])).length, 2)
  t.same(await json(['audit', 'list', '--since', '2999-01-01']), [])
  t.ok((await json(['audit', 'list', '--since', '15m'])).length > 2)
  t.ok((await json(['audit', 'list', '--since', '2020-01-01 12:00'])).length > 2)
  const all = await run(['audit', 'list', '--limit', '1000', '--json'])
  for (const secret of ['horses', 'turtles', 'foxes', 'ann@example', testMasterKey]) t.notMatch(all.stdout, secret)
  const people = await run(['audit', 'list'], { columns: 120 })
  for (const line of people.stdout.split('\n')) t.ok(line.length <= 120)
})

t.test('audit list says what was expected of what was refused, and where that stands', async (t) => {
  await withClient(database.url, (client) =>
    client.query(`INSERT INTO audit_event (bucket, id, time, type, actor, client_id, reason, count)
     SELECT bucket, gen_random_uuid(), time, 'code.refused', 'client:service', 'service', r, 1
       FROM unnest(ARRAY['redirect_uri_mismatch', 'code_verifier_wrong', 'code_verifier_wrong']) r,
            (SELECT bucket, time FROM audit_event ORDER BY time DESC LIMIT 1) e`),
  )
  const expected = 'the redirect_uri of the authorization request, letter by letter'
  const events = await json(['audit', 'list', '--type', 'code.'])
  t.match(
    events.find(({ reason }: { reason: string }) => reason === 'redirect_uri_mismatch'),
    { expected, section: 'RFC 6749 §4.1.3' },
  )
  const { stdout } = await run(['audit', 'list', '--type', 'code.'], { columns: 100 })
  const [, legend = ''] = stdout.split('\n\n')
  t.ok(legend.replace(/\n +/g, ' ').includes(`redirect_uri_mismatch: expected ${expected} (RFC 6749 §4.1.3)\n`), legend)
  t.equal(legend.match(/code_verifier_wrong/g)?.length, 1, 'each reason once')
  for (const line of stdout.split('\n')) t.ok(line.length <= 100, line)
  t.notMatch(
    await json(['audit', 'list', '--type', 'client.revoked']),
    [{ expected: String }],
    'who ended it is no refusal',
  )
})

t.test('audit list --follow prints what comes, however late, each event once, until it is interrupted', async (t) => {
  const stop = new AbortController()
  const lines: string[] = []
  let heard = (): void => undefined
  const started = new Promise<void>((resolve) => (heard = resolve))
  let all = (): void => undefined
  const complete = new Promise<void>((resolve) => (all = resolve))
  const following = run(['audit', 'list', '--follow', '--json', '--type', 'client.updated', '--limit', '1'], {
    signal: stop.signal,
    onOutput(text) {
      lines.push(...text.trim().split('\n'))
      heard()
      if (lines.length >= 3) all()
    },
  })
  await json(['client', 'update', 'service', '--name', 'One'])
  await started
  await json(['client', 'update', 'service', '--name', 'Two'])
  // As one that was counted in memory, and written a minute after it began.
  await withClient(database.url, (client) =>
    client.query(`INSERT INTO audit_event (bucket, id, time, type, actor, client_id, count)
     SELECT bucket, gen_random_uuid(), time - interval '1 minute', type, actor, client_id, 1
       FROM audit_event WHERE type = 'client.updated' ORDER BY time DESC LIMIT 1`),
  )
  await complete
  stop.abort()
  t.match(await following, { status: 0 })
  const events = lines.map((line) => JSON.parse(line))
  t.equal(new Set(events.map(({ id }) => id)).size, 3)
  for (const event of events) t.match(event, { type: 'client.updated', client_id: 'service' })
})
