import t from 'tap'
import { apiKey, basic, bearer, type Platform, type RequestLike } from '../../packages/resource-server/src/index.js'
import { disableClient, rotateSecret, updateClient } from '../../src/clients/index.js'
import { createTier } from '../../src/limits/index.js'
import { createRole, grantRole, updateResource, withdrawRole } from '../../src/resources/index.js'
import { revoke } from '../../src/revocation/index.js'
import { usage } from '../../src/store/index.js'
import { registration, type TestClient } from '../support/server.js'
import { audience } from './support/issuer.js'
import { by, cause, openApi, openKeyScene, withKey } from './support/keys.js'
import { until, WaitingPlatform } from './support/platform.js'

t.setTimeout(180_000)

const scene = await openKeyScene(t)
const { server, make, service } = scene

const encode = (text: string | Uint8Array): string => `Basic ${Buffer.from(text).toString('base64')}`
const passwordOf = ({ clientId, clientSecret }: TestClient): string => encode(`${clientId}:${clientSecret}`)

/** From this machine, unless it is said otherwise. */
const withPassword = (authorization: string, more: Partial<RequestLike> = {}): RequestLike => ({
  method: 'GET',
  url: '/orders',
  headers: { authorization },
  ip: '127.0.0.1',
  ...more,
})

const open = (t: Parameters<typeof openApi>[0], at = scene) => openApi(t, at, { schemes: [bearer, basic()] })
const tokensAsked = ({ platform }: Awaited<ReturnType<typeof open>>) =>
  platform.answers.filter(({ path }) => path === '/token').length

t.test('RFC 7617: a service account shows its password, which the server is asked about once', async (t) => {
  const opened = await open(t)
  const { api, outcome } = opened
  const before = tokensAsked(opened)
  const right = withPassword(passwordOf(service))
  t.match(await api.check(right, { scopes: ['orders:read', 'orders:write'] }), {
    ok: true,
    token: { sub: service.clientId, clientId: service.clientId, scope: ['orders:read', 'orders:write'] },
  })
  t.same(new Set(await Promise.all(Array.from({ length: 50 }, () => outcome(right)))), new Set(['ok']))
  t.equal(tokensAsked(opened), before + 1)
  t.equal(await outcome(right, { scopes: ['orders:delete'] }), 'scope_missing')
})

t.test('a service account with networks is good from these alone, though the API that asks is elsewhere', async (t) => {
  const { api, outcome, platform } = await open(t)
  const near = await server.createService('orders:read', { allowed_networks: ['192.0.2.0/24', '2001:db8:0:1::/64'] })
  const from = (ip: string, headers: Readonly<Record<string, string>> = {}) => ({
    method: 'GET',
    url: '/orders',
    headers: { authorization: passwordOf(near), ...headers },
    ip,
    socket: { encrypted: true, remoteAddress: ip },
  })
  const refusals = async () =>
    (await server.audit('client.authentication_failed')).filter(({ clientId }) => clientId === near.clientId)
  t.equal(await outcome(from('198.51.100.7')), 'password_wrong', 'the server says no more to the API')
  t.match(await refusals(), [{ reason: 'client_network', detail: { address: '198.51.100.7' } }])
  for (const ip of ['192.0.2.7', '::ffff:192.0.2.7', '2001:db8:0:1::7']) t.equal(await outcome(from(ip)), 'ok', ip)
  for (const ip of ['192.0.3.7', '127.0.0.1', '2001:db8:0:2::7']) {
    t.equal(await outcome(from(ip)), 'network_not_allowed', ip)
  }
  t.equal((await refusals()).length, 4, 'also where the right one is remembered')
  t.equal(await outcome(from('192.0.2.7')), 'ok', 'where it was right it is so on')
  const forged = { 'x-forwarded-for': '192.0.2.7', forwarded: 'for=192.0.2.7' }
  t.equal(await outcome(from('192.0.3.7', forged)), 'network_not_allowed', 'no header is read')
  t.equal((await refusals()).length, 4, 'briefly remembered, as a wrong one is')
  const last = platform.answers.filter(({ path }) => path === '/token').length
  t.equal(await outcome(from('unknown')), 'network_not_allowed')
  t.equal(platform.answers.filter(({ path }) => path === '/token').length, last + 1)
  await api.close()
  await server.ctx.usage.flush()
  const since = new Date(server.clock.now().getTime() - 3_600_000)
  const filter = { kind: 'client', credentials: [near.clientId], since, now: server.clock.now() } as const
  const counted = (await usage.totals(server.ctx.db, filter)).filter(({ outcome: each }) => each === 'network')
  t.match(counted, [{ count: 5 }], 'as they are of a key')
})

t.test(
  'a password that is right elsewhere is answered like a wrong one, by API and server, however often',
  async (t) => {
    /** What one who shows it seven times from elsewhere hears, and how often the server was asked. */
    async function answersTo(password: 'right' | 'wrong', isKnown: boolean) {
      const { api, platform } = await open(t)
      const refused = () => platform.answers.filter(({ path, status }) => path === '/token' && status === 400).length
      const account = await server.createService('orders:read', { allowed_networks: ['192.0.2.0/24'] })
      const show = (ip: string, secret: string) => {
        const socket = { encrypted: true, remoteAddress: ip }
        return api.check({ headers: { authorization: encode(`${account.clientId}:${secret}`) }, ip, socket })
      }
      if (isKnown) t.ok((await show('192.0.2.9', account.clientSecret)).ok)
      const answers = []
      for (let attempt = 0; attempt < 7; attempt++) {
        const before = refused()
        const decision = await show('203.0.113.7', password === 'right' ? account.clientSecret : 'wrong')
        if (decision.ok) return t.fail('it is let in')
        const { 'retry-after': wait, ...headers } = decision.headers
        answers.push({ ...decision, reason: '', headers, waits: wait !== undefined, asked: refused() - before })
        platform.ahead += 5_000
      }
      return answers
    }
    const wrong = await answersTo('wrong', false)
    t.match(wrong, [...Array(5).fill({ status: 401, asked: 1 }), ...Array(2).fill({ status: 503, asked: 0 })])
    t.same(await answersTo('right', false), wrong)
    t.same(await answersTo('right', true), wrong, 'also where the right one is remembered')
    t.same(await answersTo('wrong', true), wrong)
  },
)

t.test('what a service account got by an API is counted from where the account is, not the API', async (t) => {
  const { api } = await open(t)
  const account = await server.createService('orders:read')
  const socket = { encrypted: true, remoteAddress: '203.0.113.77' }
  const shown = { headers: { authorization: passwordOf(account) }, ip: '203.0.113.77', socket }
  t.ok((await api.check(shown)).ok)
  await api.close()
  await server.ctx.usage.flush()
  const since = new Date(server.clock.now().getTime() - 3_600_000)
  const filter = { kind: 'client', credentials: [account.clientId], since, now: server.clock.now() } as const
  const networks = (await usage.networks(server.ctx.db, filter)).map(({ network }) => network)
  t.same(new Set(networks), new Set(['203.0.113.0/24']))
  const issued = (await server.audit('token.issued')).filter(({ clientId }) => clientId === account.clientId)
  t.match(issued, [{ ip: '203.0.113.77' }])
})

t.test('RFC 8693: passwords are exchanged by an API, for itself alone', async (t) => {
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: passwordOf(service).slice('Basic '.length),
    subject_token_type: 'urn:ostiary:params:oauth:token-type:basic-credentials',
  }
  const ask = (authorization?: string, more: Readonly<Record<string, string>> = {}) =>
    server.post('/token', { ...form, ...more }, authorization === undefined ? {} : { authorization })
  const { resource } = scene
  const good = await ask(resource.basic, { scope: 'orders:write', resource: 'https://other.example' })
  t.match(good.json(), { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token', token_type: 'Bearer' })
  const claims = JSON.parse(Buffer.from(good.json().access_token.split('.')[1], 'base64url').toString())
  t.match(claims, { sub: service.clientId, client_id: service.clientId, aud: audience })
  t.match((await ask(service.basic)).json(), { error: 'unauthorized_client' }, 'no other client')
  t.match((await ask()).json(), { error: 'invalid_request' }, 'nobody else')
  t.equal((await ask(resource.basic, { subject_token: 'bm9ib2R5Ondyb25n' })).statusCode, 400, 'the API is not told off')
})

t.test('a wrong password, and a client that may do nothing here, are refused and remembered briefly', async (t) => {
  const opened = await open(t)
  const { api, outcome, platform } = opened
  const before = tokensAsked(opened)
  const wrong = withPassword(encode(`${service.clientId}:wrong`))
  for (let count = 0; count < 5; count++) t.equal(await outcome(wrong), 'password_wrong')
  t.equal(tokensAsked(opened), before + 1)
  const other = await server.createClient()
  t.equal(await outcome(withPassword(passwordOf(other))), 'password_wrong', 'no service account')
  t.equal(await outcome(withPassword(encode('nobody:wrong'))), 'password_wrong')
  t.equal(await outcome(withPassword(passwordOf(service))), 'ok')
  platform.ahead += 5_000
  const asked = tokensAsked(opened)
  await outcome(wrong)
  t.equal(tokensAsked(opened), asked + 1)

  const answer = await api.check(wrong)
  t.match(answer, { status: 401 })
  if (answer.ok) return
  t.match(answer.headers['www-authenticate'], /, Basic realm="API", charset="UTF-8"$/)
  t.match(answer.body, /The password is malformed, expired, revoked or not for this API\./)
  t.notMatch(JSON.stringify(answer), /access token/)
})

t.test('what the server limits is answered 503', async (t) => {
  const opened = await open(t)
  const limited = await server.createService('orders:read')
  // Elsewhere: here it would not be asked so often.
  const guess = { authorization: encode(`${limited.clientId}:wrong`) }
  for (let count = 0; count < 20; count++) await server.post('/token', { grant_type: 'client_credentials' }, guess)
  const last = await opened.outcome(withPassword(encode(`${limited.clientId}:wrong`)))
  t.equal(last, 'password_unverifiable')
  t.equal(opened.platform.answers.at(-1)?.status, 429)
  const refused = await opened.api.check(withPassword(encode(`${limited.clientId}:another`)))
  t.match(refused, { status: 503, headers: { 'retry-after': /^\d+$/ } })
  if (!refused.ok) t.ok(Number(refused.headers['retry-after']) > 1, 'as long as the server said')
})

t.test('attack 101: a right password past a tier is no guess, and is told the tier of its account', async (t) => {
  await createTier(server.ctx, 'single', { limit: 1, window: 60, burst: 1 }, by)
  const opened = await open(t)
  // More than an API asks about guesses from one network.
  const accounts = await Promise.all(
    Array.from({ length: 11 }, () => server.createService('orders:read', { rate_tier: 'single' })),
  )
  for (const account of accounts) {
    const authorization = passwordOf(account)
    const spend = () => server.post('/token', { grant_type: 'client_credentials' }, { authorization })
    t.equal((await spend()).statusCode, 200)
    t.match((await spend()).json(), { error: 'temporarily_unavailable', exceeded: 'tier' })
    const decision = await opened.api.check(withPassword(authorization))
    t.match(decision, { ok: false, status: 429, reason: 'rate_exceeded' })
    const { headers } = decision as { headers: Record<string, string> }
    t.match(headers['Retry-After'], /^[1-9]\d*$/)
    t.match(headers['RateLimit'], /^"single";r=0;t=\d+$/)
    t.equal(headers['RateLimit-Policy'], '"single";q=1;w=60')
  }
  t.equal(await opened.outcome(withPassword(passwordOf(service))), 'ok', 'nobody of its network has to wait')
  server.clock.advance(60)
  await opened.heard()
  t.equal(await opened.outcome(withPassword(passwordOf(accounts[0]!))), 'ok')
  await opened.api.close()
  await server.ctx.usage.flush()
  const since = new Date(server.clock.now().getTime() - 3_600_000)
  const filter = { kind: 'client', credentials: [accounts[1]!.clientId], since, now: server.clock.now() } as const
  const counted = (await usage.totals(server.ctx.db, filter)).filter(({ outcome }) => outcome === 'rate_limited')
  t.match(counted, [{ count: 1 }])
})

t.test('where the API itself has to wait for a tier, it says so by 503, and of no tier of the account', async (t) => {
  const resource = await server.createResource('https://slow.example', 'slow:read', { acceptsBasic: true })
  await createTier(server.ctx, 'slow', { limit: 3, window: 60, burst: 3 }, by)
  await updateClient(server.ctx, resource.clientId, { rate_tier: 'slow' }, registration)
  const options = { audience: 'https://slow.example', schemes: [bearer, basic()] }
  const { api, platform } = await openApi(t, { ...scene, resource }, options)
  for (const wrong of ['one', 'two', 'three']) await api.check(withPassword(encode(`${service.clientId}:${wrong}`)))
  const decision = await api.check(withPassword(passwordOf(service)))
  t.equal(platform.answers.at(-1)?.status, 429)
  t.match(decision, { status: 503, reason: 'password_unverifiable', headers: { 'retry-after': /^[1-9]\d*$/ } })
  t.notOk('RateLimit' in (decision as { headers: object }).headers)
})

t.test('a password that was right is asked about again after a minute, as keys are', async (t) => {
  const opened = await open(t)
  const account = await server.createService('orders:read')
  const right = withPassword(passwordOf(account))
  t.equal(await opened.outcome(right), 'ok')
  const before = tokensAsked(opened)
  opened.platform.ahead += 59_999
  await opened.heard()
  t.equal(await opened.outcome(right), 'ok')
  t.equal(tokensAsked(opened), before)
  opened.platform.ahead += 1
  await opened.heard()
  t.equal(await opened.outcome(right), 'ok')
  t.equal(tokensAsked(opened), before + 1)
})

t.test('a secret that was rotated is asked about again at once, and ends with its overlap', async (t) => {
  const opened = await open(t)
  const { outcome, heard } = opened
  const account = await server.createService('orders:read')
  const { clientId } = account
  const show = (clientSecret: string) => outcome(withPassword(passwordOf({ ...account, clientSecret })))
  const move = async (seconds: number) => {
    server.clock.advance(seconds)
    await heard()
  }
  t.equal(await show(account.clientSecret), 'ok')
  const { clientSecret: second } = await rotateSecret(server.ctx, clientId, { overlap: 10, by })
  await heard()
  const before = tokensAsked(opened)
  for (let use = 0; use < 3; use++) {
    for (const secret of [account.clientSecret, second]) t.equal(await show(secret), 'ok', 'both are good')
  }
  t.equal(tokensAsked(opened), before + 2, 'each was asked about, and is remembered')
  await move(9)
  t.equal(await show(account.clientSecret), 'ok')
  await move(1)
  t.equal(await show(account.clientSecret), 'password_wrong', 'the overlap is over')
  t.equal(await show(second), 'ok')

  const { clientSecret: third } = await rotateSecret(server.ctx, clientId, { overlap: 0, by })
  await heard()
  t.equal(await show(second), 'password_wrong', 'without an overlap it is over at once')
  t.equal(await show(third), 'ok')
  const asked = tokensAsked(opened)
  await rotateSecret(server.ctx, service.clientId, { by })
  await heard()
  t.equal(await show(third), 'ok')
  t.equal(tokensAsked(opened), asked, 'that of another client changes nothing')
  const registration = { by, grantTypes: ['client_credentials'] }
  await updateClient(server.ctx, clientId, { token_endpoint_auth_method: 'client_secret_post' }, registration)
  await heard()
  t.equal(await show(third), 'password_wrong', 'nor is it one of a client that proves itself otherwise now')
})

t.test('a rotation that is heard while the server is asked counts', async (t) => {
  const account = await server.createService('orders:read')
  let late = async (): Promise<void> => undefined
  const own = new WaitingPlatform(server.clock)
  const platform: Platform = {
    ...own,
    // The answer is made, and comes late.
    async fetch(url, init) {
      const answer = await own.fetch(url, init)
      await late()
      return answer
    },
  }
  const { outcome, heard } = await openApi(t, scene, { schemes: [bearer, basic()], platform })
  late = async () => {
    late = async () => undefined
    await rotateSecret(server.ctx, account.clientId, { overlap: 0, by })
    await heard()
  }
  t.equal(await outcome(withPassword(passwordOf(account))), 'password_wrong')
})

t.test('a service account has a generated password: one that a person may have chosen is refused', async (t) => {
  const { outcome } = await open(t)
  const chosen = { grant_types: ['client_credentials'], redirect_uris: undefined, scope: 'orders:read' }
  const account = await server.createClient({ ...chosen, client_secret: 'Tr0ub4dor&3' }, true)
  const direct = await server.post('/token', { grant_type: 'client_credentials' }, { authorization: account.basic })
  t.equal(direct.statusCode, 200, 'it is good at the server itself')
  t.equal(await outcome(withPassword(passwordOf(account))), 'password_wrong')
  const { clientId } = account
  const refusals = (await server.audit('client.authentication_failed')).filter((event) => event.clientId === clientId)
  t.match(refusals, [{ reason: 'client_secret_chosen' }])
  const { clientSecret } = await rotateSecret(server.ctx, clientId, { by })
  t.equal(await outcome(withPassword(passwordOf({ ...account, clientSecret }))), 'ok')
})

t.test('RFC 7617 §2: what is malformed is refused without a request', async (t) => {
  const opened = await open(t)
  const before = tokensAsked(opened)
  for (const authorization of [
    ...['Basic', 'Basic ', 'Basic !', 'Basic eDp5 eDp5', 'Basic eDp5, Basic eDp5', `Basic ${'A'.repeat(2000)}`],
    ...[encode('nocolon'), encode(':x'), encode('x:'), encode('x:\ny'), encode('x\0:y'), encode('')],
    ...[encode(new Uint8Array([0x78, 0x3a, 0xff])), encode(new Uint8Array([0x78, 0x3a, 0xc0, 0x80]))],
  ]) {
    t.equal(await opened.outcome(withPassword(authorization)), 'request_malformed', authorization.slice(0, 30))
  }
  const twice = withPassword(passwordOf(service), {
    rawHeaders: ['Authorization', passwordOf(service), 'Authorization', passwordOf(service)],
  })
  t.equal(await opened.outcome(twice), 'request_malformed')
  const beside = withPassword(passwordOf(service), {
    rawHeaders: ['Authorization', passwordOf(service), 'Authorization', 'Bearer x'],
  })
  t.equal(await opened.outcome(beside), 'request_malformed')
  t.equal(tokensAsked(opened), before)
})

t.test('RFC 7617 §4: a password is taken over TLS, on loopback, or behind a proxy where the API says so', async (t) => {
  const { outcome, api } = await open(t)
  const right = passwordOf(service)
  const from = (more: Partial<RequestLike>) => outcome(withPassword(right, { ip: undefined, ...more }))
  t.equal(await from({ socket: { encrypted: true, remoteAddress: '192.0.2.7' } }), 'ok')
  t.equal(await from({ socket: { remoteAddress: '::ffff:127.0.0.1' } }), 'ok')
  for (const more of [
    {},
    { socket: { remoteAddress: '192.0.2.7' } },
    { ip: '192.0.2.7' },
    { ip: '192.0.2.7', socket: { remoteAddress: '127.0.0.1' } },
    { ip: '127.0.0.1', socket: { remoteAddress: '192.0.2.7' } },
    { url: 'https://orders.example/orders', socket: { remoteAddress: '192.0.2.7' } },
    { headers: { authorization: right, 'x-forwarded-proto': 'https' } },
    ...[
      ...['forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded', 'via', 'X-Real-IP'],
      ...[
        'x-client-ip',
        'client-ip',
        'x-cluster-client-ip',
        'true-client-ip',
        'cf-connecting-ip',
        'cf-ray',
        'cdn-loop',
      ],
      ...['fastly-client-ip', 'fly-client-ip', 'do-connecting-ip', 'x-envoy-external-address', 'x-amzn-trace-id'],
      ...['x-original-uri', 'x-scheme', 'x-url-scheme', 'front-end-https', 'x-arr-ssl', 'x-azure-clientip'],
    ].map((name) => ({
      headers: { authorization: right, [name]: 'https' },
      ip: '127.0.0.1',
    })),
  ]) {
    t.equal(await from(more), 'transport_insecure', JSON.stringify(more).slice(0, 60))
  }
  const raw = ['Authorization', right, 'X-Real-IP', '192.0.2.7']
  t.equal(await from({ rawHeaders: raw, ip: '127.0.0.1' }), 'transport_insecure')
  t.equal(await from({ rawHeaders: raw.slice(0, 2), ip: '127.0.0.1' }), 'ok', 'a value is no name')
  const headers = { authorization: right }
  t.equal(await outcome(new Request('https://orders.example/orders', { headers })), 'ok')
  t.equal(await outcome(new Request('http://orders.example/orders', { headers })), 'transport_insecure')
  t.match(await api.check(withPassword(right, { ip: '192.0.2.7' })), { status: 400 })
  const behind = await openApi(t, scene, { schemes: [basic({ behindProxy: true })] })
  t.equal(await behind.outcome(withPassword(right, { ip: '192.0.2.7' })), 'ok')
  const forwarded = { headers: { authorization: right, 'x-forwarded-for': '192.0.2.7' } }
  t.equal(await behind.outcome(withPassword(right, forwarded)), 'ok')
  for (const realm of ['', 'a"b', 'a\\b', 'a\nb']) t.throws(() => basic({ realm }), { name: 'ConfigurationError' })
})

t.test('a password is switched on by the API: without the scheme it is nothing', async (t) => {
  const { outcome, api } = await openApi(t, scene)
  t.equal(await outcome(withPassword(passwordOf(service))), 'credentials_missing')
  const answer = await api.check(withPassword(passwordOf(service)))
  t.notMatch(JSON.stringify(answer), /Basic/)
})

t.test('it is switched on at the server, too: where it is off there, the API says which command to run', async (t) => {
  const offScene = await openKeyScene(t)
  const { server, service } = offScene
  const { ctx } = server
  const switchBasic = (acceptsBasic: boolean) => updateResource(ctx, audience, { acceptsBasic }, { by })
  await switchBasic(false)
  const opened = await open(t, offScene)
  const { api, outcome, warnings, heard } = opened
  const problem =
    'Passwords are refused: the server says "Basic is switched off for this resource." To switch them on for this API: ' +
    `ostiary resource update ${audience} --accepts-basic`
  const challengeOf = async (headers: Readonly<Record<string, string>> = {}) => {
    const decision = await api.check({ ...withPassword(''), headers })
    return decision.ok ? '' : decision.headers['www-authenticate']
  }
  t.same(warnings, [problem], 'at its start, before anybody shows one')
  t.match(api.health(), { state: 'ready', problem })
  t.notMatch(await challengeOf(), /Basic/, 'what is refused is not offered')
  const asked = tokensAsked(opened)
  const right = withPassword(passwordOf(service))
  const answer = await api.check(right)
  t.match(answer, { ok: false, status: 401, reason: 'passwords_off', body: '{}' }, 'RFC 6750 §3.1: no error')
  t.notMatch(JSON.stringify(answer), /Basic/)
  t.equal(tokensAsked(opened), asked, 'none is sent')
  // As often as no guesser would be asked about.
  for (let guess = 0; guess < 6; guess++) {
    server.clock.advance(5)
    t.equal(await outcome(withPassword(encode(`${service.clientId}:wrong ${guess}`))), 'passwords_off')
  }
  t.equal(tokensAsked(opened), asked + 6)
  t.same(await server.audit('client.authentication_failed'), [], 'and nobody compared one')
  t.equal(warnings.length, 1, 'it is said once')

  await switchBasic(true)
  t.equal(await outcome(right), 'passwords_off', 'for five seconds')
  server.clock.advance(5)
  await heard()
  t.equal(await outcome(right), 'ok')
  t.match(await challengeOf(), /, Basic realm="API"/)
  t.equal(api.health().problem, undefined)

  await switchBasic(false)
  t.equal(await outcome(right), 'ok', 'the word of the server stands for a minute')
  t.equal(await outcome(withPassword(encode(`${service.clientId}:wrong`))), 'passwords_off')
  t.equal(await outcome(right), 'passwords_off', 'or until it says otherwise')
  t.same(warnings, [problem, problem])
  await switchBasic(true)
  t.notMatch(await challengeOf(), /Basic/, 'for five seconds')
  server.clock.advance(5)
  await heard()
  await until('it has looked again by itself', async () => /, Basic realm="API"/.test(String(await challengeOf())))
})

t.test('RFC 9110 §15.5.2: where passwords alone would do and are off, the answer names no scheme: 503', async (t) => {
  const offScene = await openKeyScene(t)
  await updateResource(offScene.server.ctx, audience, { acceptsBasic: false }, { by })
  const right = withPassword(passwordOf(offScene.service))
  for (const options of [
    { schemes: [basic()] },
    { schemes: [basic(), apiKey()], require: ['basic', 'api-key'] },
  ] as const) {
    const { api } = await openApi(t, offScene, options)
    for (const [request, reason] of [
      [{ headers: {} }, 'credentials_missing'],
      [right, options.schemes.length === 1 ? 'passwords_off' : 'credentials_missing'],
    ] as const) {
      const decision = await api.check(request)
      t.match(decision, { ok: false, status: 503, reason, headers: { 'retry-after': '1' } })
      t.notMatch(JSON.stringify(decision), /www-authenticate/)
    }
    t.match(await api.check(withPassword('Basic !')), { status: 400, reason: 'request_malformed' })
  }
})

t.test('what ends the client, or takes its role, ends what its password is good for', async (t) => {
  const roleScene = await openKeyScene(t)
  const { server, service } = roleScene
  const holder = { kind: 'client', holder: service.clientId } as const
  const resource = 'https://orders.example'
  await createRole(server.ctx, { resource, name: 'clerk', scope: ['orders:read'] }, by)
  await grantRole(server.ctx, resource, 'clerk', holder, by)
  await server.refresh()
  const opened = await open(t, roleScene)
  const { outcome, heard } = opened
  const read = () => outcome(withPassword(passwordOf(service)), { scopes: ['orders:read'] })
  t.equal(await read(), 'ok')
  await revoke(server.ctx, { kind: 'client', clientId: service.clientId }, cause)
  await heard()
  const before = tokensAsked(opened)
  // The next token is of the next second.
  server.clock.advance(1)
  await heard()
  t.equal(await read(), 'ok', 'the client may go on, with another token')
  t.equal(tokensAsked(opened), before + 1)
  await withdrawRole(server.ctx, resource, 'clerk', holder, by)
  await heard()
  server.clock.advance(1)
  await heard()
  t.not(await read(), 'ok')
  await disableClient(server.ctx, service.clientId, by)
  await heard()
  server.clock.advance(5)
  await heard()
  t.equal(await outcome(withPassword(passwordOf(service))), 'password_wrong')
})

t.test('two locks: a password and a key, of the same client', async (t) => {
  const { api, outcome, heard } = await openApi(t, scene, {
    schemes: [basic(), apiKey()],
    require: ['basic', 'api-key'],
  })
  const { text } = await make({ scope: ['orders:read'] })
  const other = await server.createService('orders:read orders:write')
  const theirs = await make({ owner: { kind: 'client', id: other.clientId } })
  const user = await server.createUser('two-locks@example.com')
  const users = await make({ owner: { kind: 'user', id: user.id } })
  const authorization = passwordOf(service)
  const both = (key: string, more = {}) => ({ ...withKey(key, { authorization }), ip: '127.0.0.1', ...more })
  // What was made took a while.
  await heard()
  const decision = await api.check(both(text), { scopes: ['orders:read'] })
  t.match(decision, { ok: true, token: { sub: service.clientId, scope: ['orders:read'] } })
  t.equal(await outcome(both(text), { scopes: ['orders:write'] }), 'scope_missing', 'what both permit')
  for (const { text: key } of [theirs, users]) t.equal(await outcome(both(key)), 'subjects_differ')
  t.equal(await outcome(withKey(text)), 'credentials_missing')
  t.equal(await outcome(withPassword(authorization)), 'credentials_missing')
  t.equal(await outcome({ ...withPassword(`Bearer ${text}`) }), 'credentials_missing')
  t.equal(await outcome({ headers: {} }), 'credentials_missing')
  t.equal(await outcome(both('x')), 'key_malformed')
  const wrong = { ...withKey(text, { authorization: encode(`${service.clientId}:wrong`) }), ip: '127.0.0.1' }
  t.equal(await outcome(wrong), 'password_wrong')
  const answer = await api.check(withKey(text))
  t.match(answer, { status: 401, headers: { 'www-authenticate': /^Basic realm="API", charset="UTF-8", Bearer / } })
  t.match(await api.check(both('x')), { body: /The credential is malformed/ })
  t.equal(await outcome(both(text, { url: `/orders?key=${text}` })), 'credentials_in_query')
})
