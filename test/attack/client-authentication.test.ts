import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import t, { type Test } from 'tap'
import { disableClient, rotateSecret } from '../../src/clients/index.js'
import { basicOf, createTestServer, sql } from '../support/server.js'
import { application, openScene, postAs, refresh, statementsOf, tokensFor } from '../support/tokens.js'

// The bounds on failures have tests of their own.
const scene = await openScene(t, { env: { FAILURES_PER_NETWORK: '100000', FAILURES_PER_CLIENT: '1000' } })
const { server, client } = scene
const by = { actor: 'operator' }
const form = { grant_type: 'client_credentials' }
const ask = (authorization: string, more: Record<string, string> = {}) =>
  server.post('/token', { ...form, ...more }, { authorization })

type Reply = Awaited<ReturnType<typeof ask>>

function isRefused(t: Test, reply: Reply, message: string): void {
  t.equal(reply.statusCode, 401, message)
  t.match(reply.json(), { error: 'invalid_client' }, message)
  t.equal(reply.headers['www-authenticate'], 'Basic realm="http://localhost:3000", charset="UTF-8"', message)
  t.equal(reply.headers['cache-control'], 'no-store')
}

/** Which keyed and slow hashes were computed while the work ran. */
async function hashesOf(work: () => Promise<unknown>): Promise<{ readonly keyed: number; readonly slow: number }> {
  const { createHmac } = crypto
  const { passwords } = server.ctx
  const { verify } = passwords
  let keyed = 0
  let slow = 0
  crypto.createHmac = (...args) => {
    keyed++
    return createHmac(...args)
  }
  syncBuiltinESMExports()
  Object.assign(passwords, {
    verify: (...args: Parameters<typeof verify>) => {
      slow++
      return verify(...args)
    },
  })
  try {
    await work()
  } finally {
    crypto.createHmac = createHmac
    syncBuiltinESMExports()
    Object.assign(passwords, { verify })
  }
  return { keyed, slow }
}

t.test(
  'attack 65: a wrong secret costs the same work and gets the same answer, whether the client exists',
  async (t) => {
    const warm = await server.createService()
    const rotated = await server.createService()
    await rotateSecret(server.ctx, rotated.clientId, { by })
    const disabled = await server.createService()
    await disableClient(server.ctx, disabled.clientId, by)
    const cold = await server.createService()
    for (const { basic } of [warm, rotated]) t.equal((await ask(basic)).statusCode, 200)
    server.ctx.clients.drop(cold.clientId)

    const wrong = 'x'.repeat(43)
    // Once a failure stands, it is asked for.
    await ask(basicOf('nobody', wrong))
    const measured = []
    for (const clientId of [
      'nobody',
      warm.clientId,
      rotated.clientId,
      disabled.clientId,
      cold.clientId,
      warm.clientId,
    ]) {
      let reply: Reply | undefined
      let statements: readonly string[] = []
      const hashes = await hashesOf(async () => {
        statements = await statementsOf(server, async () => {
          reply = await ask(basicOf(clientId, wrong))
        })
      })
      if (!reply) throw new Error('there was no answer')
      const { date: _, 'x-request-id': __, ...headers } = reply.headers
      measured.push({ hashes, statements, status: reply.statusCode, body: reply.body, headers })
    }
    const [unknown, ...known] = measured
    t.equal(unknown?.status, 401)
    t.equal(unknown?.hashes.slow, 0)
    for (const other of known) t.same(other, unknown)
  },
)

t.test('attack 65: a client that is unknown to the caller is unknown to the audit too', async (t) => {
  const typed = 'somebodys-password'
  await ask(basicOf(typed, 'x'.repeat(43)))
  const events = (await server.audit('client.authentication_failed')).filter(
    ({ reason }) => reason === 'client_unknown',
  )
  t.ok(events.length > 0)
  for (const { clientId } of events) t.equal(clientId, undefined)
  t.notMatch(JSON.stringify(await server.audit()), typed)
  t.notMatch(server.logs.join(), typed)
})

t.test('attack 65: a bound is told before any hash is computed', async (t) => {
  const own = await createTestServer(t)
  const service = await own.createClient(
    { redirect_uris: undefined, grant_types: ['client_credentials'], client_secret: 'a short one' },
    true,
  )
  const guess = (secret: string, ip = '192.0.2.1') =>
    own.app.inject({
      method: 'POST',
      url: '/token',
      remoteAddress: ip,
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: basicOf(service.clientId, secret),
      },
      payload: 'grant_type=client_credentials',
    })
  // All at once: no more than the bound may compute a hash.
  const { passwords } = own.ctx
  const { verify } = passwords
  let hashes = 0
  Object.assign(passwords, {
    verify: (...args: Parameters<typeof verify>) => {
      hashes++
      return verify(...args)
    },
  })
  const replies = await Promise.all(Array.from({ length: 40 }, (_, index) => guess(`guess ${index}`)))
  const refused = replies.filter(({ statusCode }) => statusCode === 401)
  const limited = replies.filter(({ statusCode }) => statusCode === 429)
  t.equal(refused.length + limited.length, 40)
  t.ok(hashes <= 10, `${hashes} hashes`)
  t.ok(refused.length <= 10)
  for (const reply of limited) {
    t.match(reply.json(), { error: 'temporarily_unavailable' })
    t.match(reply.headers['retry-after'], /^[1-9][0-9]*$/)
    t.ok(Number(reply.headers['retry-after']) <= 600)
    t.equal(reply.headers['ratelimit-policy'], '"failures";q=10;w=600')
    t.equal(reply.headers.ratelimit, `"failures";r=0;t=${reply.headers['retry-after']}`)
  }
  for (const { headers } of refused) t.equal(headers.ratelimit, undefined, 'before it, how many are left is not said')

  hashes = 0
  t.equal((await guess(service.clientSecret)).statusCode, 429, 'the right one neither')
  t.equal((await guess(service.clientSecret, '192.0.2.250')).statusCode, 429, 'the same /24')
  t.equal(hashes, 0)
  t.equal((await guess(service.clientSecret, '198.51.100.1')).statusCode, 200, 'attack 102: nobody else is locked out')
  own.clock.advance(600)
  t.equal((await guess(service.clientSecret)).statusCode, 200, 'after the window')
})

t.test('attack 66: two methods at once', async (t) => {
  const service = await server.createService()
  const post = await server.createService('', { token_endpoint_auth_method: 'client_secret_post' })
  const inBody = { client_id: post.clientId, client_secret: post.clientSecret }
  for (const [name, reply] of Object.entries({
    'the same client twice': await ask(service.basic, {
      client_id: service.clientId,
      client_secret: service.clientSecret,
    }),
    'two clients': await ask(service.basic, inBody),
    'the header and the name of another': await ask(service.basic, { client_id: post.clientId }),
    'a method that is its own, and another': await ask(post.basic, inBody),
    'the header, and a secret of nobody in the body': await ask(service.basic, { client_secret: service.clientSecret }),
  })) {
    t.equal(reply.statusCode, 400, name)
    t.match(reply.json(), { error: 'invalid_request' }, name)
  }
  t.equal((await ask(service.basic, { client_id: service.clientId })).statusCode, 200, 'its own name is no method')
})

t.test('attack 67: a method that the client is not registered for', async (t) => {
  const basic = await server.createService()
  const post = await server.createService('', { token_endpoint_auth_method: 'client_secret_post' })
  const spa = await server.createClient({ ...application, token_endpoint_auth_method: 'none' })
  isRefused(
    t,
    await server.post('/token', { ...form, client_id: basic.clientId, client_secret: basic.clientSecret }),
    'post for basic',
  )
  isRefused(t, await ask(post.basic), 'basic for post')
  for (const { clientId } of [basic, post]) {
    isRefused(t, await server.post('/token', { ...form, client_id: clientId }), 'none for a confidential client')
    isRefused(t, await server.post('/token', { ...form, client_id: clientId, client_secret: '' }), 'an empty secret')
    isRefused(t, await ask(basicOf(clientId, '')), 'an empty secret in the header')
  }
  const { refresh_token } = await tokensFor({ ...scene, client: spa })
  const refreshing = { grant_type: 'refresh_token', refresh_token }
  isRefused(t, await server.post('/token', refreshing, { authorization: basicOf(spa.clientId, '') }), 'basic for none')
  isRefused(
    t,
    await server.post('/token', { ...refreshing, client_id: spa.clientId, client_secret: 'x' }),
    'post for none',
  )
  t.equal((await refresh(server, spa, refresh_token)).statusCode, 200)
})

t.test('attack 68: an Authorization header that is no proper Basic', async (t) => {
  const { clientId, clientSecret } = await server.createService()
  const base64 = (bytes: string | Buffer) => Buffer.from(bytes).toString('base64')
  const right = base64(`${clientId}:${clientSecret}`)
  for (const header of [
    'Basic',
    'Basic ',
    `Basic\t${right}`,
    `Basic ${right.replace(/=+$/, '')}${right.endsWith('=') ? '' : '='}`,
    `Basic ${right}!`,
    `Basic ${right} ${right}`,
    `Basic ${right.slice(0, 10)} ${right.slice(10)}`,
    `Basic ${right.replaceAll('/', '_')}*`,
    `Basic ${base64(clientId)}`,
    `Basic ${base64(`:${clientSecret}`)}`,
    `Basic ${base64(Buffer.concat([Buffer.from(`${clientId}:`), Buffer.from([0xff, 0xfe])]))}`,
    `Basic ${base64(Buffer.from([0xc0, 0x80, 0x3a, 0x78]))}`,
    `Basic ${base64(`${clientId}:%zz`)}`,
    `Basic ${base64(`${clientId}:%`)}`,
    `Basic ${base64(`${clientId}:%00`)}`,
    `Basic ${base64(`${clientId}:%ff`)}`,
    `Basic ${base64(`${clientId}\0:${clientSecret}`)}`,
    `Bearer ${clientSecret}`,
    `Digest username="${clientId}"`,
    `Negotiate ${right}`,
    `basic${right}`,
    right,
    'x'.repeat(10_000),
    `Basic ${base64('x'.repeat(6_000))}`,
    `Basic ${base64(`${'x'.repeat(3_000)}:${'y'.repeat(3_000)}`)}`,
  ]) {
    isRefused(t, await ask(header), header.slice(0, 40))
  }
  t.equal((await ask(`bAsIc ${right}`)).statusCode, 200, 'the scheme may be written in any case')
})

t.test('attack 69: an assertion proves nothing of a client that has a secret, whatever it says', async (t) => {
  const service = await server.createService()
  const [jwk] = (await server.get('/jwks')).json().keys
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(server.clock.now().getTime() / 1000)
  const claims = {
    iss: service.clientId,
    sub: service.clientId,
    aud: 'http://localhost:3000',
    exp: now + 60,
    jti: 'once',
  }
  const hmac = (input: string) => crypto.createHmac('sha256', JSON.stringify(jwk)).update(input).digest('base64url')
  for (const header of [{ alg: 'none' }, { alg: 'HS256', kid: jwk.kid }, { alg: 'HS256', jwk }]) {
    const input = `${encode(header)}.${encode(claims)}`
    const assertion = {
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: `${input}.${header.alg === 'none' ? '' : hmac(input)}`,
    }
    isRefused(t, await server.post('/token', { ...form, ...assertion }), 'alone')
    isRefused(t, await server.post('/token', { ...form, ...assertion, client_id: service.clientId }), 'with the name')
  }
})

t.test('attack 70: of a rotated secret only the last two live, and the old one for its overlap alone', async (t) => {
  const service = await server.createService()
  const now = async (secret: string) => (await ask(basicOf(service.clientId, secret))).statusCode
  const first = service.clientSecret
  const second = (await rotateSecret(server.ctx, service.clientId, { overlap: 60, by })).clientSecret
  t.same([await now(first), await now(second)], [200, 200], 'both within the overlap')
  server.clock.advance(59.999)
  t.equal(await now(first), 200)
  server.clock.advance(0.001)
  t.same([await now(first), await now(second)], [401, 200], 'the old one has expired')

  const third = (await rotateSecret(server.ctx, service.clientId, { overlap: 3600, by })).clientSecret
  const fourth = (await rotateSecret(server.ctx, service.clientId, { overlap: 3600, by })).clientSecret
  t.same([await now(second), await now(third), await now(fourth)], [401, 200, 200], 'never more than two')
  const last = (await rotateSecret(server.ctx, service.clientId, { overlap: 0, by })).clientSecret
  t.same([await now(third), await now(fourth), await now(last)], [401, 401, 200], 'at once, where that was asked')
})

t.test('attack 102: who proves to be a client and is refused all the same locks out nobody else', async (t) => {
  const own = await createTestServer(t)
  const post = (authorization: string) => own.post('/token', form, { authorization })
  const status = async (authorization: string) => (await post(authorization)).statusCode
  const rotated = await own.createService()
  const { clientSecret } = await rotateSecret(own.ctx, rotated.clientId, { overlap: 60, by })
  own.clock.advance(60)
  for (let count = 0; count < 12; count++) t.equal(await status(rotated.basic), 401, 'who has not moved')
  t.equal(await status(basicOf(rotated.clientId, clientSecret)), 200, 'who has')
  t.match(await own.audit('client.authentication_failed'), [{ reason: 'client_secret_expired' }])

  const statuses = new Map<number, number>()
  for (let count = 0; count < 11; count++) {
    const disabled = await own.createService()
    await disableClient(own.ctx, disabled.clientId, by)
    for (let attempt = 0; attempt < 11; attempt++) {
      const answered = await status(disabled.basic)
      statuses.set(answered, (statuses.get(answered) ?? 0) + 1)
    }
  }
  t.same(Object.fromEntries(statuses), { 401: 110, 429: 11 }, 'it cannot be told from a guess')
  t.equal(await status(basicOf(rotated.clientId, clientSecret)), 200, 'the network is not concerned')
  t.equal(await status(basicOf(rotated.clientId, 'x'.repeat(43))), 401, 'and guesses count')
  for (let count = 0; count < 10; count++) await post(basicOf(rotated.clientId, 'x'.repeat(43)))
  t.equal(await status(basicOf(rotated.clientId, 'x'.repeat(43))), 429)
  t.equal(await status(rotated.basic), 429, 'past the bound whatever is wrong is answered alike')
  t.equal(await status(basicOf(rotated.clientId, clientSecret)), 200, 'and keeps out nobody who is right')
})

t.test('attack 102: what nobody guesses is let in, whatever its neighbours fail at', async (t) => {
  const own = await createTestServer(t)
  const status = async (authorization: string) => (await own.post('/token', form, { authorization })).statusCode
  const service = async (more = {}) =>
    own.createClient({ redirect_uris: undefined, grant_types: ['client_credentials'], ...more }, true)
  const [client, neighbour, fresh] = [await service(), await service(), await service()]
  // Long, and all the same chosen by a person: guesses at it stay bounded.
  const [brought, weak] = [
    await service({ client_secret: 'correct horse '.repeat(4) }),
    await service({ client_secret: 'short' }),
  ]
  for (const each of [neighbour, brought, weak]) t.equal(await status(each.basic), 200)

  const wrong = basicOf(client.clientId, 'x'.repeat(43))
  for (let count = 0; count < 10; count++) t.equal(await status(wrong), 401)
  t.equal(await status(wrong), 429)
  t.equal(await status(client.basic), 200, 'the client itself')
  t.equal(await status(wrong), 429, 'whose success makes no room for further guesses')

  for (let count = 0; count < 90; count++) await status(basicOf(`nobody ${count}`, 'x'.repeat(43)))
  t.equal(await status(basicOf('nobody', 'x'.repeat(43))), 429, 'the network')
  for (const each of [client, neighbour, fresh]) t.equal(await status(each.basic), 200)
  for (const each of [brought, weak]) t.equal(await status(each.basic), 429, 'what may be guessed')
  const bare = await own.createClient({ ...application, token_endpoint_auth_method: 'none' })
  const named = await own.post('/revoke', { client_id: bare.clientId, token: 'x' })
  t.equal(named.statusCode, 200, 'nor is a name a guess')

  const written = (await own.audit('client.authentication_failed')).reduce((sum, { count = 1 }) => sum + count, 0)
  const statements = await statementsOf(own, async () => {
    t.equal(await status(wrong), 429)
    t.equal(await status(basicOf('nobody', 'x'.repeat(43))), 429)
    for (const each of [client, brought, weak]) await status(each.basic)
  })
  t.notOk(statements.includes('failures.add'), 'and nothing is written')
  const now = (await own.audit('client.authentication_failed')).reduce((sum, { count = 1 }) => sum + count, 0)
  t.equal(now, written)
})

t.test('attack 70: a process that has not heard of a rotation takes the new secret', async (t) => {
  const beside = await createTestServer(t, { beside: server })
  const service = await server.createService()
  t.equal((await postAs(beside, service, '/token', form)).statusCode, 200)
  const { clientSecret } = await rotateSecret(server.ctx, service.clientId, { overlap: 60, by })
  const rotated = { ...service, clientSecret, basic: basicOf(service.clientId, clientSecret) }
  t.equal((await postAs(beside, rotated, '/token', form)).statusCode, 200)
})

t.test('attack 70: a secret is not kept as it is', async (t) => {
  const service = await server.createService()
  const rows = await sql(server, 'SELECT method, hash FROM client_secret WHERE client_id = $1', [service.clientId])
  t.equal(rows[0]?.method, 'hmac-sha256')
  const plain = crypto.createHash('sha256').update(service.clientSecret).digest()
  t.notSame(rows[0]?.hash, plain, 'nor as a hash that anybody can compute')
})

t.test('attack 73: credentials and tokens in the address', async (t) => {
  const post = await server.createService('', { token_endpoint_auth_method: 'client_secret_post' })
  const { clientId: client_id, clientSecret: client_secret } = post
  const query = (parameters: Readonly<Record<string, string>>) => new URLSearchParams(parameters).toString()
  const queries: readonly Readonly<Record<string, string>>[] = [
    { client_secret },
    { ...form, client_id, client_secret },
    { refresh_token: 'ort_x' },
    { code: 'oac_x' },
    { token: 'x' },
    { password: 'x' },
    { client_assertion: 'x' },
  ]
  for (const path of ['/token', '/revoke', '/introspect']) {
    for (const parameters of queries) {
      const reply = await server.post(`${path}?${query(parameters)}`, { ...form, client_id, client_secret })
      t.equal(reply.statusCode, 400, path)
      t.match(reply.json(), { error: 'invalid_request' }, `${path}?${Object.keys(parameters)}`)
    }
    const get = await server.get(`${path}?${query({ ...form, client_id, client_secret })}`)
    t.equal(get.statusCode, 405)
    isRefused(
      t,
      await server.post(`${path}?${query({ client_id })}`, form),
      'what is harmless there counts for nothing',
    )
    const encoded = [
      `client%5Fsecret=${client_secret}&client%5Fid=${client_id}`,
      `x=%ZZ&%63lient_secret=${client_secret}`,
      `%72%65%66%72%65%73%68%5f%74%6F%6B%65%6E=ort_x`,
      `code%3Doac_x`,
      `x%26token%3Dx`,
    ]
    for (const each of encoded) {
      const reply = await server.post(`${path}?${each}`, { ...form, client_id, client_secret })
      t.equal(reply.statusCode, 400, `${path}?${each}`)
      t.match(reply.json(), { error: 'invalid_request', error_description: /^Credentials and tokens/ }, each)
    }
    const harmless = await server.post(`${path}?x=%E0%A4&zip%63ode=1`, { ...form, client_id, client_secret })
    t.notMatch(harmless.body, 'Credentials and tokens', 'a name that only ends like one')
  }
  t.notMatch(server.logs.join(), client_secret)
  t.equal((await refresh(server, client, 'x')).statusCode, 400)
})
