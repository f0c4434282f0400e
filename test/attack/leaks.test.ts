import { createHash, createHmac } from 'node:crypto'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { rotateSecret } from '../../src/clients/index.js'
import { createUser } from '../../src/identity/index.js'
import { openContext } from '../../src/open-context.js'
import { loadConfig } from '../../src/platform/config/index.js'
import { decrypt } from '../../src/platform/crypto/encryption.js'
import { masterKey } from '../../src/platform/crypto/master-key.js'
import { authorizationUrl } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { createDatabaseProxy, type DatabaseProxy } from '../support/database-proxy.js'
import { verifier } from '../support/grants.js'
import { dump, spellings } from '../support/leaks.js'
import { SeededRandom } from '../support/random.js'
import { refused } from '../support/refused.js'
import { basicOf, createTestServer, sql } from '../support/server.js'
import { application, introspect, openScene, postAs, redeem, refresh, revokeAt } from '../support/tokens.js'

type Kind = 'password' | 'client secret' | 'verifier' | 'code' | 'token' | 'cookie' | 'form token' | 'address' | 'typed'

/** Where each kind may be handed out, and nowhere else. */
const mayHold: Readonly<Record<Kind, (reply: LightMyRequestResponse) => boolean>> = {
  password: () => false,
  'client secret': () => false,
  verifier: () => false,
  typed: () => false,
  code: ({ statusCode, headers }) =>
    statusCode === 303 && String(headers['location']).startsWith('https://app.example/cb?'),
  token: ({ statusCode, headers, raw }) =>
    statusCode === 200 && raw.req.url === '/token' && headers['cache-control'] === 'no-store',
  cookie: ({ headers, body }) => headers['set-cookie'] !== undefined && body === body.replaceAll('ostiary_', ''),
  'form token': ({ headers }) => String(headers['content-type']).startsWith('text/html'),
  // A page, or introspection where the API asked for it.
  address: ({ headers, raw }) =>
    String(headers['content-type']).startsWith('text/html') || raw.req.url === '/introspect',
}

t.test('attack 131: after a full run no log line, event, row or response holds what it should not', async (t) => {
  const { server, client, api, user } = await openScene(t)
  const replies: LightMyRequestResponse[] = []
  const { inject } = server.app
  const send: (options: InjectOptions) => Promise<LightMyRequestResponse> = inject.bind(server.app)
  // Every response of the run.
  const listen = async (options: InjectOptions): Promise<LightMyRequestResponse> => {
    const reply = await send(options)
    replies.push(reply)
    return reply
  }
  Object.assign(server.app, { inject: listen })

  const secrets: { readonly kind: Kind; readonly value: string }[] = []
  const note = (kind: Kind, ...values: readonly (string | undefined)[]): void => {
    for (const value of values) if (value !== undefined && value.length > 8) secrets.push({ kind, value })
  }
  note('password', user.password)
  note('address', user.email)
  note('client secret', client.clientSecret, api.clientSecret)
  note('verifier', verifier)

  // Services, with secrets of each kind and what goes wrong with them.
  await server.createResource('https://opaque.example', 'view', { tokenFormat: 'opaque', claims: ['email', 'name'] })
  const service = await server.createService('read view')
  const weak = await server.createClient(
    { redirect_uris: undefined, grant_types: ['client_credentials'], client_secret: 'weak & short: e?' },
    true,
  )
  const post = await server.createService('', { token_endpoint_auth_method: 'client_secret_post' })
  note('client secret', service.clientSecret, weak.clientSecret, post.clientSecret)
  const asService = { grant_type: 'client_credentials' }
  for (const scope of ['read', 'view']) {
    const reply = await postAs(server, service, '/token', { ...asService, scope })
    note('token', reply.json().access_token)
    await introspect(server, service, reply.json().access_token)
    t.equal((await revokeAt(server, service, reply.json().access_token)).statusCode, 200)
  }
  t.equal((await postAs(server, weak, '/token', asService)).statusCode, 200)
  const rotated = await rotateSecret(server.ctx, service.clientId, { by: { actor: 'operator' } })
  note('client secret', rotated.clientSecret)
  await server.post('/token', asService, { authorization: basicOf(service.clientId, rotated.clientSecret) })
  await server.post('/token', { ...asService, client_id: post.clientId, client_secret: post.clientSecret })
  const wrong = 'a wrong secret, typed in haste'
  note('typed', wrong, 'somebody-typed-a-password-here')
  for (const clientId of [service.clientId, weak.clientId, 'somebody-typed-a-password-here']) {
    await server.post('/token', asService, { authorization: basicOf(clientId, wrong) })
    await server.post('/token', { ...asService, client_id: clientId, client_secret: wrong })
  }
  const query = new URLSearchParams({ client_id: post.clientId, client_secret: post.clientSecret }).toString()
  t.equal((await server.post(`/token?${query}`, asService)).statusCode, 400)
  await server.get(`/token?${query}`)
  await server.get(`/nothing/${post.clientSecret}?token=${post.clientSecret}`)
  await server.get(`/${post.clientSecret}%`)
  await server.post('/introspect', { token: wrong }, { authorization: `Bearer ${wrong}` })
  await server.app.inject({
    method: 'POST',
    url: '/token',
    headers: { 'content-type': 'application/json', authorization: service.basic },
    payload: JSON.stringify({ client_secret: wrong }),
  })
  await server.post('/token', { ...asService, client_id: post.clientId, client_secret: [wrong, wrong] })
  await postAs(server, service, '/token', { ...asService, scope: wrong, resource: wrong })

  // A person, who mistypes the password, then consents.
  const other = await createUser(
    server.ctx,
    { email: 'grace@example.com', password: 'a different horse' },
    { actor: 'operator' },
  )
  note('password', 'a different horse', 'correct horse batterz')
  note('address', other.email, 'nobody.of.that.name@example.com')
  const everything = await server.createClient({ ...application, scope: 'read write view openid offline_access' })
  note('client secret', everything.clientSecret)
  const browser = new TestBrowser(server)
  const logIn = async (scope: string): Promise<string> => {
    let page = await browser.open(authorizationUrl(everything, { scope }))
    if (page.step === 'login') {
      for (const [username, password] of [
        [user.email, 'correct horse batterz'],
        ['nobody.of.that.name@example.com', 'correct horse batterz'],
        [user.email, user.password],
      ] as const) {
        note('form token', ...page.inputs.filter(({ name }) => /csrf/.test(name)).map(({ value }) => value))
        page = await browser.submit(page, { username, password }, { button: 'login-submit' })
      }
    }
    note('form token', ...page.inputs.filter(({ name }) => /csrf/.test(name)).map(({ value }) => value))
    if (page.step === 'consent') page = await browser.submit(page, {}, { button: 'consent-allow' })
    note('cookie', ...[...browser.cookies.values()].map(({ value }) => value))
    const code = page.answer['code']
    note('code', code)
    return code ?? ''
  }
  const formOf = (code: string) => ({
    grant_type: 'authorization_code',
    redirect_uri: 'https://app.example/cb',
    code_verifier: verifier,
    code,
  })

  // Codes and refresh tokens: used, used again, wrongly used, revoked.
  for (const [scope, owner] of [
    ['read write offline_access', api],
    ['view openid', everything],
  ] as const) {
    const spent = await logIn(scope)
    t.equal(
      (await redeem(server, everything, { form: { ...formOf(spent), code_verifier: 'x'.repeat(43) } })).statusCode,
      400,
    )
    const code = await logIn(scope)
    t.equal((await redeem(server, client, { form: formOf(code) })).statusCode, 400, 'by another client')
    const first = await redeem(server, everything, { form: formOf(code) })
    t.equal(first.statusCode, 200, scope)
    note('token', first.json().access_token, first.json().refresh_token)
    const second = await refresh(server, everything, first.json().refresh_token)
    t.equal((await refresh(server, everything, first.json().refresh_token)).body, second.body, 'a retry')
    note('token', second.json().access_token, second.json().refresh_token)
    t.match(await introspect(server, owner, second.json().access_token), { active: true })
    await introspect(server, everything, second.json().refresh_token)
    await refresh(server, client, second.json().refresh_token)
    server.clock.advance(11)
    t.equal((await refresh(server, everything, first.json().refresh_token)).statusCode, 400, 'a reuse')
    t.equal((await redeem(server, everything, { form: formOf(code) })).statusCode, 400, 'a replay')
    await revokeAt(server, everything, second.json().refresh_token)
    await revokeAt(server, client, second.json().access_token)
  }

  // A database that fails, and says in its error what the row was.
  for (const table of ['access_token', 'refresh_token']) {
    await sql(server, `ALTER TABLE ${table} ADD COLUMN broken int NOT NULL DEFAULT 0`)
    await sql(server, `ALTER TABLE ${table} ALTER COLUMN broken DROP DEFAULT`)
  }
  const lost = await logIn('view openid')
  t.equal((await redeem(server, everything, { form: formOf(lost) })).statusCode, 500)
  t.equal((await postAs(server, service, '/token', { ...asService, scope: 'view' })).statusCode, 500)
  Object.assign(server.app, { inject })

  const kinds = new Set(secrets.map(({ kind }) => kind))
  t.same([...kinds].sort(), Object.keys(mayHold).sort(), 'the run has met every kind')
  await server.ctx.clientUse.flush()
  const events = await server.audit()
  const types = new Set(events.map(({ type }) => type))
  for (const type of [
    'token.refreshed',
    'code.refused',
    'grant.revoked',
    'client.authentication_failed',
    'code.redeemed',
  ]) {
    t.ok(types.has(type), `the run has met ${type}`)
  }
  const written = {
    'the log': server.logs.join('\n'),
    'the audit': JSON.stringify(events),
    'the database': await dump(server),
  }
  t.ok(written['the log'].length > 10_000 && written['the database'].includes(user.id))

  for (const { kind, value } of new Map(secrets.map((secret) => [secret.value, secret])).values()) {
    const found = spellings(value)
    for (const [place, text] of Object.entries(written)) {
      // An account is found by its address.
      if (place === 'the database' && kind === 'address') continue
      t.notOk(
        found.some((spelling) => text.includes(spelling)),
        `${place} has a ${kind}`,
      )
    }
    const holding = replies.filter((reply) => {
      const text = `${JSON.stringify(reply.headers)}\n${reply.body}`
      return found.some((spelling) => text.includes(spelling))
    })
    t.ok(holding.every(mayHold[kind]), `a response has a ${kind}`)
    if (kind === 'code') t.equal(holding.length, 1, 'a code is handed out once')
  }
})

t.test('attack 131: the search would find a value in each of its spellings', async (t) => {
  const value = 'oat_1_a+b/c d?'
  const hex = Buffer.from(value).toString('hex')
  for (const text of [value, encodeURIComponent(value), hex, hex.toUpperCase()]) {
    t.ok(spellings(value).some((spelling) => `x${text}x`.includes(spelling)))
  }
  for (let before = 0; before < 6; before++) {
    const text = Buffer.from(`${'x'.repeat(before)}${value}yz`)
    for (const encoding of ['base64', 'base64url'] as const) {
      t.ok(
        spellings(value).some((spelling) => text.toString(encoding).includes(spelling)),
        `${encoding} after ${before}`,
      )
    }
  }
})

t.test('attack 131: what somebody sends cannot forge a line of the log', async (t) => {
  const server = await createTestServer(t)
  const forged = 'x\n{"level":"info","msg":"forged"}\r\n\u001b[2Jforged\u2028forged'
  await server.get(`/${encodeURIComponent(forged)}`)
  await server.post('/token', { grant_type: forged, client_id: forged, scope: forged })
  await server.post(
    '/token',
    {},
    { 'user-agent': 'forged', 'x-request-id': 'forged', referer: 'https://forged.example' },
  )
  await server.get(`/authorize?client_id=${encodeURIComponent(forged)}&state=${encodeURIComponent(forged)}`)
  for (const line of server.logs) {
    t.type(JSON.parse(line), 'object')
    t.equal(line.trimEnd().split(/[\n\r\u2028]/).length, 1)
    t.notMatch(line, 'forged')
  }
})

t.test('attack 118: the database and no master key are not enough to check or make a secret', async (t) => {
  const { server, client } = await openScene(t)
  const stored = await dump(server)
  const binary = [...stored.matchAll(/\\\\x([0-9a-f]+)/g)].map(([, hex = '']) => Buffer.from(hex, 'hex'))
  t.ok(binary.length >= 4, 'keys and secrets were found')
  const hashes = new Set(binary.map((bytes) => bytes.toString('hex')))
  const secret = client.clientSecret
  for (const algorithm of ['sha1', 'sha256', 'sha384', 'sha512', 'md5']) {
    t.notOk(hashes.has(createHash(algorithm).update(secret).digest('hex')), algorithm)
  }
  // With any value of the database as the key, or a part of one.
  for (const bytes of binary) {
    for (const key of [bytes, bytes.subarray(0, 32), bytes.subarray(-32), bytes.subarray(12, 44), bytes.subarray(28)]) {
      t.notOk(hashes.has(createHmac('sha256', key).update(secret).digest('hex')))
    }
  }
  t.notMatch(stored, /BEGIN [A-Z ]*PRIVATE KEY|"d":/, 'no private key in a form that anybody could read')
  // PKCS #8, as a private key is written in DER.
  t.notOk(binary.some((bytes) => bytes.subarray(0, 2).equals(Buffer.from([0x30, 0x81])) || bytes.includes(pkcs8)))

  const { config } = loadConfig({
    env: { DATABASE_URL: server.databaseUrl, MASTER_KEY: Buffer.alloc(32, 8).toString('base64') },
  })
  const { log, clock } = server.ctx
  const other = openContext({ config, log, databaseUrl: server.databaseUrl, clock, random: new SeededRandom() })
  await refused(t, other, { name: 'WrongMasterKeyError' }, 'another master key opens nothing')
  const [row] = await sql(server, 'SELECT kid, private_key FROM signing_key')
  const context = `signing key ${row?.kid}`
  t.throws(() => decrypt(masterKey(Buffer.alloc(32, 8)).key, row?.private_key, context))
  t.throws(() => decrypt(masterKey(Buffer.alloc(32, 7)).key, row?.private_key, 'signing key of another row'))
})

/** `AlgorithmIdentifier` of an EC key on P-256. */
const pkcs8 = Buffer.from('301306072a8648ce3d020106082a8648ce3d030107', 'hex')

t.test('attack 118: the log has no key material', async (t) => {
  const { server, client } = await openScene(t)
  await postAs(server, client, '/token', {})
  await server.ctx.keys.rotate('now', { actor: 'operator' })
  const master = Buffer.alloc(32, 7)
  const keys = await sql(server, 'SELECT kid, private_key FROM signing_key')
  const wrapped = await sql(server, 'SELECT id, wrapped FROM secret_key')
  const material = [
    master,
    ...keys.map((row) => decrypt(masterKey(master).key, row['private_key'], `signing key ${row['kid']}`)),
    ...wrapped.map((row) => decrypt(masterKey(master).key, row['wrapped'], `secret key ${row['id']}`)),
  ]
  t.equal(material.length, 6, 'two signing keys, and before the rotation as many')
  const written = `${server.logs.join('\n')}\n${JSON.stringify(await server.audit())}\n${await dump(server)}`
  for (const bytes of material) {
    for (const encoding of ['hex', 'base64', 'base64url', 'latin1'] as const) {
      t.notOk(written.includes(bytes.toString(encoding)), encoding)
    }
  }
})

t.test('attack 136: health endpoints say whether, and nothing else', async (t) => {
  let proxy: DatabaseProxy | undefined
  const server = await createTestServer(t, {
    through: async (databaseUrl) => {
      proxy = await createDatabaseProxy(t, databaseUrl)
      return proxy.url
    },
  })
  const isBare = async (t: Test, path: string, status: number, body: object) => {
    const reply = await server.get(path)
    t.equal(reply.statusCode, status, path)
    t.same(reply.json(), body, path)
    t.equal(reply.headers['cache-control'], 'no-store', path)
    for (const name of ['server', 'x-powered-by', 'x-version', 'via']) t.notOk(name in reply.headers, name)
  }
  await isBare(t, '/healthz', 200, { status: 'ok' })
  proxy?.down()
  await isBare(t, '/healthz', 200, { status: 'ok' })
  await isBare(t, '/readyz', 503, { status: 'unavailable' })
  proxy?.up()
  await isBare(t, '/readyz', 200, { status: 'ready' })

  for (const path of [
    ...[
      '/metrics',
      '/health',
      '/status',
      '/version',
      '/info',
      '/debug',
      '/debug/pprof',
      '/actuator',
      '/admin',
      '/admin/v1',
    ],
    ...['/.env', '/.git/config', '/package.json', '/swagger.json', '/docs', '/console', '/demo', '/test'],
    ...['/healthz/', '/healthz/x', '/readyz?verbose', '/.well-known/', '/.well-known/security.txt'],
  ]) {
    const { statusCode, body } = await server.get(path)
    if (!path.startsWith('/readyz')) t.equal(statusCode, 404, path)
    t.notMatch(body, /version|stack|postgres|node/i, path)
  }
})

t.test('attack 136: a failure of ours is told without its cause', async (t) => {
  const { server, client } = await openScene(t)
  await sql(server, 'ALTER TABLE authorization_code RENAME TO gone')
  const code = `oac_1_${'x'.repeat(43)}`
  const reply = await postAs(server, client, '/token', { grant_type: 'authorization_code', code })
  t.equal(reply.statusCode, 500)
  t.same(Object.keys(reply.json()).sort(), ['error', 'error_description'])
  t.equal(reply.json().error, 'server_error')
  t.notMatch(reply.body, /relation|authorization_code|gone|SELECT|42P01/)
})
