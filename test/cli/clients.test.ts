import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createCommandLine } from '../support/command.js'
import { createTestDatabase } from '../support/database.js'

const database = await createTestDatabase(t)
const { run, folder } = createCommandLine(t, database)

/** Runs a command that must succeed, and reads the one document that it printed. */
async function json(args: readonly string[], stdin?: string) {
  const result = await run([...args, '--json'], stdin === undefined ? {} : { stdin })
  t.match(result, { status: 0 }, args.join(' '))
  return result.json()
}

const metadata = {
  client_id: 'brought',
  client_secret: 'brought-along-from-another-server-1234567890',
  client_name: 'Brought',
  application_type: 'web',
  redirect_uris: ['https://app.example.com/cb', 'https://app.example.com/other'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'client_secret_post',
  scope: 'openid orders:read',
  default_scope: 'openid',
  required_scope: 'openid',
  require_pkce: false,
  first_party: true,
  allowed_origins: ['https://app.example.com'],
  access_token_lifetime: 120,
  refresh_token_idle_lifetime: 3600,
  refresh_token_lifetime: 7200,
  refresh_token_rotation: false,
  refresh_token_retry_window: 30,
}

t.test('client create --from-json keeps what was brought, and prints the registered metadata', async (t) => {
  writeFileSync(join(folder, 'client.json'), JSON.stringify(metadata))
  const registered = await json(['client', 'create', '--from-json', 'client.json'])
  t.match(registered, metadata)
  t.equal(registered.client_secret_expires_at, 0)

  const shown = await json(['client', 'show', 'brought'])
  const { client_secret: secret, ...rest } = metadata
  t.match(shown, rest)
  t.notMatch(JSON.stringify(shown), secret, 'the secret is printed once')
  t.match(shown.secrets, [{ weak: false }])
})

t.test('what was printed for a client registers it anew: metadata makes the round trip', async (t) => {
  const before = await json(['client', 'show', 'brought'])
  await json(['client', 'delete', 'brought'])
  const again = await json(['client', 'create', '--from-json', '-'], JSON.stringify(before))
  t.match(again.client_secret, /^[\w-]{43}$/, 'with a new secret')
  t.notSame(again.client_secret, metadata.client_secret)
  const { client_secret: _, ...rest } = metadata
  t.match(await json(['client', 'show', 'brought']), rest)

  await json(['client', 'disable', 'brought'])
  const disabled = { ...(await json(['client', 'show', 'brought'])), client_id: 'copy' }
  t.match(
    await run(['client', 'create', '--from-json', '-'], { stdin: JSON.stringify(disabled) }),
    { status: 1, stderr: /disabled_at/ },
    'what would be lost is refused',
  )
  await json(['client', 'enable', 'brought'])
})

t.test('the same by options, which come over the document', async (t) => {
  const { client_id, client_secret, ...rest } = metadata
  const args = [
    ['--id', 'by-options', '--name', 'Brought', '--auth-method', 'client_secret_post', '--no-require-pkce'],
    ['--redirect-uri', 'https://app.example.com/cb', '--redirect-uri', 'https://app.example.com/other'],
    ['--grant-type', 'authorization_code', '--grant-type', 'refresh_token', '--response-type', 'code'],
    ['--scope', 'openid orders:read', '--default-scope', 'openid', '--required-scope', 'openid', '--first-party'],
    ['--allowed-origin', 'https://app.example.com', '--access-token-lifetime', '120', '--application-type', 'web'],
    ['--refresh-token-idle-lifetime', '3600', '--refresh-token-lifetime', '7200', '--no-refresh-token-rotation'],
    ['--refresh-token-retry-window', '30'],
  ].flat()
  t.match(await json(['client', 'create', ...args]), rest)

  const over = await json(['client', 'create', '--from-json', 'client.json', '--id', 'over', '--name', 'Over'])
  t.match(over, { ...metadata, client_id: 'over', client_name: 'Over' })

  const native = ['--native', '--redirect-uri', 'com.example.app:/cb', '--id', 'native']
  const app = await json(['client', 'create', ...native])
  t.match(app, { application_type: 'native', token_endpoint_auth_method: 'none' })
  t.notOk('client_secret' in app)
  const spa = await json(['client', 'create', '--public', '--redirect-uri', 'https://spa.example.com/cb'])
  t.match(spa, { token_endpoint_auth_method: 'none', client_id: /^[0-9a-f-]{36}$/ })
})

t.test('the grant type implicit is registered where IMPLICIT is on, and unknown where it is off', async (t) => {
  const args = ['client', 'create', '--redirect-uri', 'https://app.example.com/cb', '--scope', 'openid', '--json']
  const asked = [...args, '--grant-type', 'implicit', '--response-type', 'token id_token']
  const off = await run(asked)
  t.match(off, { status: 1, stderr: /grant_types has an item that is not one of authorization_code/ })
  const { run: runOn } = createCommandLine(t, database, { IMPLICIT: 'on' })
  const on = await runOn(asked)
  t.match(on.json(), { grant_types: ['implicit'], response_types: ['id_token token'] })
  t.match(await runOn([...args, '--grant-type', 'implicit', '--response-type', 'token']), { status: 1 })
})

t.test('a scope that no resource has is kept, and told: it may be a slip', async (t) => {
  const args = ['client', 'create', '--grant-type', 'client_credentials', '--json', '--scope']
  const slip = await run([...args, 'openid no:such'])
  t.match(slip, { status: 0, stderr: /warning: No resource has the scope no:such yet/ })
  t.match(slip.json(), { scope: 'openid no:such' })
  t.match(await run([...args, 'openid offline_access']), { status: 0, stderr: '' })
})

t.test(
  'RFC 8252 §8.6: a native client that is called first-party is asked about all the same, and that is told',
  async (t) => {
    const args = ['client', 'create', '--native', '--redirect-uri', 'com.example.ours:/cb']
    t.match(await run([...args, '--id', 'ours', '--first-party']), {
      status: 0,
      stderr: /warning: first_party has no effect on a native client/,
    })
    t.match(await run([...args, '--id', 'theirs']), { status: 0, stderr: '' })
    t.match(await run(['client', 'update', 'theirs', '--first-party']), { stderr: /first_party has no effect/ })
    t.match(await run(['client', 'update', 'ours', '--no-first-party']), { status: 0, stderr: '' })
  },
)

t.test('a weak secret needs --weak-secret, and no message repeats it', async (t) => {
  const args = ['client', 'create', '--id', 'weak', '--grant-type', 'client_credentials', '--secret-stdin']
  const refused = await run(args, { stdin: 'tea-at-four-o-clock\n' })
  t.match(refused, { status: 1, stdout: '', stderr: /shorter than 32 characters.*--weak-secret/ })
  t.notMatch(refused.stderr, 'tea-at-four')
  const registered = await json([...args, '--weak-secret'], 'tea-at-four-o-clock\n')
  t.equal(registered.client_secret, 'tea-at-four-o-clock', 'without the line break')
  t.match((await json(['client', 'show', 'weak'])).secrets, [{ weak: true }])
  t.match(await run(args, { stdin: 'a\nb\n' }), { status: 1, stderr: /more than one line/ })
})

t.test('for people: the secret once, and what to do with it', async (t) => {
  const made = await run(['client', 'create', '--id', 'human', '--grant-type', 'client_credentials'])
  t.equal(made.status, 0)
  const [, secret = ''] = /client_secret\s+([\w-]{43})$/m.exec(made.stdout) ?? []
  t.ok(secret)
  t.match(made.stdout, 'Keep the secret now')
  const shown = await run(['client', 'show', 'human'])
  t.match(shown.stdout, /LAST USED/)
  for (const { stdout } of [shown, await run(['client', 'list']), await run(['audit', 'list'])])
    t.notMatch(stdout, secret)
})

t.test('tables fit the terminal, and are whole where no terminal reads them', async (t) => {
  const narrow = await run(['client', 'list'], { columns: 100 })
  for (const line of narrow.stdout.split('\n')) t.ok(line.length <= 100, line)
  t.match(narrow.stdout, '…')
  const whole = await run(['client', 'list'])
  t.notMatch(whole.stdout, '…')
  t.match(whole.stdout, 'authorization_code refresh_token')
})

t.test('client update replaces what it names', async (t) => {
  const updated = await json([
    'client',
    'update',
    'over',
    '--name',
    'New name',
    '--scope',
    'openid',
    '--unset',
    'access-token-lifetime',
  ])
  t.match(updated, { client_name: 'New name', scope: 'openid', redirect_uris: metadata.redirect_uris })
  t.notOk('access_token_lifetime' in updated)
  t.notOk('client_secret' in updated)
  t.match(await json(['client', 'update', 'over', '--from-json', '-'], '{"first_party": false}'), {
    first_party: false,
  })
  t.match(await run(['client', 'update', 'over', '--from-json', '-'], { stdin: '{"client_secret": "x"}' }), {
    status: 1,
    stderr: /rotating/,
  })
  t.match(await run(['client', 'update', 'over', '--no-first-party', '--scope', 'a"b']), { status: 1, stderr: /scope/ })
})

t.test('client rotate-secret keeps the old one for the overlap, or ends it', async (t) => {
  const first = await json(['client', 'rotate-secret', 'human', '--overlap', '60'])
  t.match(first.client_secret, /^[\w-]{43}$/)
  const [current, old] = first.secrets
  t.equal(current.expires_at, undefined)
  t.equal(Date.parse(old.expires_at) - Date.parse(current.created_at), 60_000)
  const byDefault = await json(['client', 'rotate-secret', 'human'])
  t.equal(byDefault.secrets.length, 2)
  const [newest, previous] = byDefault.secrets
  t.equal(Date.parse(previous.expires_at) - Date.parse(newest.created_at), 86_400_000)
  t.match((await run(['client', 'rotate-secret', 'human'])).stdout, /The old secret is valid until .* never used/)
  const ended = await run(['client', 'rotate-secret', 'human', '--now'])
  t.match(ended.stdout, 'no longer valid')
  t.equal((await json(['client', 'show', 'human'])).secrets.length, 1)
  t.match(await run(['client', 'rotate-secret', 'native']), { status: 1, stderr: /has no secret/ })
})

t.test('client disable, enable and delete say what they did', async (t) => {
  t.same(await json(['client', 'disable', 'over']), { client_id: 'over', disabled: true, changed: true })
  t.same(await json(['client', 'disable', 'over']), { client_id: 'over', disabled: true, changed: false })
  t.match((await run(['client', 'show', 'over'])).stdout, /state +disabled since/)
  t.match((await json(['client', 'list'])).find((c: { client_id: string }) => c.client_id === 'over').disabled_at, /Z$/)
  t.same(await json(['client', 'enable', 'over']), { client_id: 'over', disabled: false, changed: true })
  t.match((await run(['client', 'delete', 'over'])).stdout, /Deleted the client over/)
  t.match(await run(['client', 'delete', 'over']), { status: 1, stderr: /There is no client over/ })
})

t.test('a key set is read from a file', async (t) => {
  const keys = { keys: [{ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }] }
  writeFileSync(join(folder, 'jwks.json'), JSON.stringify(keys))
  t.match(await json(['client', 'create', '--grant-type', 'client_credentials', '--jwks', 'jwks.json']), { jwks: keys })
  t.ok(readFileSync(join(folder, 'jwks.json')))
  const byKey = ['client', 'create', '--grant-type', 'client_credentials', '--auth-method', 'private_key_jwt']
  const created = await json([...byKey, '--jwks', 'jwks.json', '--client-assertion-audience', 'endpoint'])
  t.match(created, { token_endpoint_auth_method: 'private_key_jwt', client_assertion_audience: 'endpoint', jwks: keys })
  t.notOk('client_secret' in created, 'it has none')
  t.match(await run(byKey), { status: 1, stderr: /jwks or jwks_uri is needed by private_key_jwt/ })
  writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [{ kty: 'EC', crv: 'P-384', x: 'AA', y: 'AA' }] }))
  t.match(await run([...byKey, '--jwks', 'jwks.json']), {
    status: 1,
    stderr: /jwks has no key that signatures could be/,
  })
})
