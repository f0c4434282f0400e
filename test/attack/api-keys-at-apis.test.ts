import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { apiKey, basic, bearer, type ProtectOptions } from '../../packages/resource-server/src/index.js'
import { protect } from '../../packages/resource-server/src/node.js'
import { endApiKey, endApiKeys, rotateApiKey } from '../../src/api-keys/index.js'
import { audience } from '../resource-server/support/issuer.js'
import { by, cause, openKeyScene } from '../resource-server/support/keys.js'
import { until, WaitingPlatform } from '../resource-server/support/platform.js'

t.setTimeout(180_000)

const scene = await openKeyScene(t)
const { server, make } = scene
const { ctx, clock } = server

/** An API by HTTP, at the time of its server, and everything that it says. */
async function open(t: Test, options: Partial<ProtectOptions> = {}) {
  const said: string[] = []
  const platform = new WaitingPlatform(clock)
  const { clientId, clientSecret } = scene.resource
  const api = await protect({
    issuer: ctx.config.server.issuer,
    audience,
    credentials: { clientId, clientSecret },
    platform,
    tolerance: 5_000,
    schemes: [bearer, apiKey()],
    warn: (message) => said.push(message),
    ...options,
  })
  const guard = api.scopes('orders:read')
  const http = createServer(async (request, response) => {
    const token = await guard(request, response)
    if (token) response.end(JSON.stringify({ for: token.sub, scope: token.scope }))
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => {
    http.closeAllConnections()
    await Promise.all([api.close(), new Promise((resolve) => http.close(resolve))])
  })
  async function ask(headers: Record<string, string>, path = '/orders') {
    const response = await fetch(`http://127.0.0.1:${(http.address() as AddressInfo).port}${path}`, { headers })
    const text = await response.text()
    said.push(text)
    response.headers.forEach((value, name) => {
      said.push(`${name}: ${value}`)
    })
    return { status: response.status, headers: response.headers, text }
  }
  const heard = async (): Promise<void> => {
    const position = BigInt(ctx.revocations.position())
    await until('the feed was heard', () => {
      const health = api.health()
      return health.state === 'ready' && BigInt(health.position ?? 0) >= position
    })
  }
  return {
    ask,
    heard,
    said,
    platform,
    asked: () => platform.answers.filter(({ path }) => path === '/introspect').length,
  }
}

const withKey = (text: string) => ({ 'x-api-key': text })

t.test('attack 113: a key that is guessed or mistyped tells nothing, and in an address it is refused', async (t) => {
  const { ask, asked } = await open(t)
  const { text } = await make()
  const { text: another } = await make()
  const answers = []
  for (const guess of [
    `${text.slice(0, 24)}${another.slice(24)}`,
    `${text.slice(0, -1)}~`.replace('~', text.endsWith('x') ? 'y' : 'x'),
  ]) {
    answers.push(await ask(withKey(guess)))
  }
  t.equal(asked(), 0, 'neither has the checksum')
  await endApiKey(ctx, another.slice(8, 24), { cause })
  answers.push(await ask(withKey(another)))
  for (const { status, text, headers } of answers) {
    t.equal(status, 401)
    t.equal(text, answers[0]?.text)
    t.equal(headers.get('www-authenticate'), answers[0]?.headers.get('www-authenticate'))
  }
  for (const name of ['key', 'access_token', 'x-api-key', 'anything']) {
    t.equal((await ask({}, `/orders?${name}=${text}`)).status, 400, name)
    t.equal((await ask(withKey(text), `/orders?${name}=${text}`)).status, 400, name)
  }
  t.equal((await ask(withKey(text))).status, 200)
  t.equal((await ask({ ...withKey(text), authorization: `Bearer ${text}` })).status, 400, 'twice')
})

t.test('attack 113: keys in an address cost the server one question, not one each', async (t) => {
  const { ask, asked } = await open(t)
  const made: string[] = []
  for (let count = 0; count < 10; count++) {
    const { text } = await make()
    made.push(text)
  }
  t.equal((await ask({}, `/orders?${made.join('&')}`)).status, 400)
  await until('it was asked', () => asked() > 0)
  t.equal(asked(), 1, 'of many in one address')
  const { text } = await make()
  t.equal((await ask(withKey(text))).status, 200)
  t.equal(asked(), 2)
})

t.test('attack 115: a key does what it is made for, from where it may, until it ends', async (t) => {
  const { ask, heard } = await open(t)
  const narrow = await make({ scope: ['orders:write'] })
  t.equal((await ask({ ...withKey(narrow.text), scope: 'orders:read' }, '/orders?scope=orders:read')).status, 403)
  const elsewhere = await make({ networks: ['192.0.2.0/24'] })
  for (const header of ['x-forwarded-for', 'forwarded', 'x-real-ip', 'cf-connecting-ip']) {
    const value = header === 'forwarded' ? 'for=192.0.2.7' : '192.0.2.7'
    t.equal((await ask({ ...withKey(elsewhere.text), [header]: value })).status, 401, header)
  }
  const here = await make({ networks: ['127.0.0.0/8'] })
  t.equal((await ask(withKey(here.text))).status, 200)
  const page = await make({ kind: 'publishable', origins: ['https://shop.example'] })
  t.equal((await ask({ ...withKey(page.text), origin: 'https://evil.example' })).status, 401)
  t.equal((await ask({ ...withKey(page.text), origin: 'https://shop.example' })).status, 200)

  const rotated = await make()
  t.equal((await ask(withKey(rotated.text))).headers.get('deprecation'), null)
  await rotateApiKey(ctx, rotated.id, { overlap: 60, by })
  await heard()
  const old = await ask(withKey(rotated.text))
  t.match(old.headers.get('deprecation'), /^@\d+$/)
  t.match(old.headers.get('sunset'), /^\w{3}, \d{2} \w{3} \d{4} [\d:]{8} GMT$/)
  clock.advance(60)
  await heard()
  t.equal((await ask(withKey(rotated.text))).status, 401)
  t.equal((await ask({ authorization: `Bearer ${rotated.text}` })).status, 401)
})

t.test('attack 116: one call ends all keys of a prefix, also those that an API remembers', async (t) => {
  const { ask, heard } = await open(t)
  const [one, two, other] = [await make({ prefix: 'leak' }), await make({ prefix: 'leak' }), await make()]
  for (const { text } of [one, two, other]) t.equal((await ask(withKey(text))).status, 200)
  await endApiKeys(ctx, { kind: 'prefix', prefix: 'leak' }, { cause })
  await heard()
  t.equal((await ask(withKey(one.text))).status, 401)
  t.equal((await ask({ authorization: `Bearer ${two.text}` })).status, 401)
  t.equal((await ask(withKey(other.text))).status, 200)
})

/** An API that takes passwords, from wherever the test says. */
async function openForPasswords(t: Test) {
  let from = '198.51.0.7'
  const schemes = [bearer, apiKey(), basic()]
  const opened = await open(t, { schemes, addressOf: () => from })
  async function show(password: string, address: string) {
    from = address
    return opened.ask({ authorization: `Basic ${Buffer.from(password).toString('base64')}` })
  }
  const status = async (password: string, address: string) => (await show(password, address)).status
  const account = async () => {
    const { clientId, clientSecret } = await server.createService('orders:read')
    return { clientId, password: `${clientId}:${clientSecret}` }
  }
  return { ...opened, show, status, account }
}

t.test('attack 101: who makes passwords up locks neither the API out at its server, nor other accounts', async (t) => {
  const { ask, asked, platform, show, status, account } = await openForPasswords(t)
  const [known, fresh, second] = [await account(), await account(), await account()]
  t.equal(await status(known.password, '198.51.0.7'), 200)
  const guessed: Awaited<ReturnType<typeof show>>[] = []
  const guess = async (index: number) =>
    guessed.push(await show(`${index % 2 ? known.clientId : `nobody ${index}`}:wrong ${index}`, `198.51.${index}.7`))
  for (let index = 1; index <= 60; index++) await guess(index)
  t.equal(await status(fresh.password, '203.0.113.7'), 200, 'sixty networks are not everybody')
  for (let index = 61; index <= 200; index++) await guess(index)
  const answered = (status: number) => guessed.filter((each) => each.status === status)
  t.equal(answered(401).length, 90)
  t.equal(answered(503).length, 110)
  t.ok(answered(503).every(({ headers }) => Number(headers.get('retry-after')) > 1))
  t.notOk(platform.answers.some(({ status }) => status === 429))
  t.equal(await status(second.password, '203.0.114.7'), 503, 'two hundred are: the last resort')

  const before = platform.answers.length
  const { clientId: own } = scene.resource
  for (let count = 0; count < 3; count++) t.equal(await status(`${own}:wrong ${count}`, '198.51.0.7'), 401)
  t.notOk(
    platform.answers.slice(before).some(({ path }) => path === '/token'),
    'of the API itself it asks about none',
  )

  const { text } = await make()
  t.equal((await ask(withKey(text))).status, 200, 'a key that it never saw')
  t.equal(asked(), 1)
  clock.advance(60)
  await until(
    'it is right by what the server says now',
    async () => (await status(known.password, '198.51.0.7')) === 200,
  )
  clock.advance(540)
  await until('others may be asked about again', async () => (await status(second.password, '203.0.114.7')) === 200)
})

t.test('attack 101: one network that makes ids up, whatever it holds, keeps out nobody of another', async (t) => {
  clock.advance(600)
  const { status, account, platform } = await openForPasswords(t)
  for (const [name, addressOf] of [
    ['a /24', (index: number) => `192.0.2.${index}`],
    ['a /64', (index: number) => `2001:db8:1:1::${index}`],
  ] as const) {
    const tokens = platform.answers.length
    for (let index = 1; index <= 100; index++) await status(`nobody ${index}:wrong`, addressOf(index))
    t.equal(platform.answers.slice(tokens).filter(({ path }) => path === '/token').length, 10, name)
  }
  const [fresh, other] = [await account(), await account()]
  t.equal(await status(fresh.password, '203.0.113.7'), 200)
  t.equal(await status(other.password, '192.0.2.200'), 503, 'whoever comes from there pays')
  t.equal(await status(fresh.password, '192.0.2.200'), 200, 'but for who was here before')

  const asked = platform.answers.length
  for (let index = 1; index <= 100; index++) await status(`nobody ${index}:wrong`, `2001:db8:2:${index}::7`)
  t.equal(
    platform.answers.slice(asked).filter(({ path }) => path === '/token').length,
    10,
    'a /48 has what is left of 30',
  )
  t.equal(await status(other.password, '2001:db8:3:1::7'), 200)
})

t.test('attack 102: one id that is guessed at from many addresses is let in from another one', async (t) => {
  clock.advance(600)
  const { status, account, platform } = await openForPasswords(t)
  const attacked = await account()
  const asked = platform.answers.length
  for (let index = 1; index <= 20; index++) await status(`${attacked.clientId}:wrong ${index}`, '192.0.2.7')
  for (let index = 1; index <= 20; index++) await status(`${attacked.clientId}:wrong ${index}`, '198.51.100.7')
  const refused = platform.answers.slice(asked).filter(({ path, status }) => path === '/token' && status === 400)
  t.equal(refused.length, 6)
  t.equal(await status(attacked.password, '203.0.113.7'), 200)
  t.equal(await status(attacked.password, '192.0.2.7'), 200, 'and then from everywhere')
})

t.test('attack 101: what is right is told from guesses that the server takes no more of', async (t) => {
  clock.advance(600)
  const { status, account, platform, show } = await openForPasswords(t)
  const [known, fresh] = [await account(), await account()]
  t.equal(await status(known.password, '198.51.0.7'), 200)
  // By other APIs at the same address.
  const form = { grant_type: 'client_credentials' }
  for (let index = 0; index < 110; index++) {
    const wrong = `Basic ${Buffer.from(`nobody ${index}:wrong`).toString('base64')}`
    await server.post('/token', form, { authorization: wrong })
  }
  const first = await show('nobody:wrong', '192.0.2.7')
  t.match([first.status, Number(first.headers.get('retry-after')) > 1], [503, true])
  t.equal(platform.answers.at(-1)?.status, 429)
  const asked = platform.answers.length
  for (let index = 0; index < 50; index++) await status(`nobody ${index}:wrong`, '192.0.2.7')
  t.equal(platform.answers.slice(asked).filter(({ path }) => path === '/token').length, 9, 'nor of these without end')
  t.equal(await status(fresh.password, '203.0.113.7'), 200, 'the API and what is right are let in there')
  clock.advance(60)
  await until('what was right is so on', async () => (await status(known.password, '198.51.0.7')) === 200)
})

t.test('attack 118: no key is in an answer, a warning or a log', async (t) => {
  const { ask, said, platform } = await open(t)
  const { text, id } = await make()
  const mistyped = `${text.slice(0, -1)}${text.endsWith('x') ? 'y' : 'x'}`
  for (const key of [text, mistyped]) {
    await ask(withKey(key))
    await ask({ authorization: `Bearer ${key}` })
    await ask(withKey(`${key} ${key}`))
    await ask({}, `/orders?key=${key}`)
    await ask({}, `/orders?${encodeURIComponent(`https://x.example/?a=${key}`)}`)
  }
  await until('it was reported', () => said.some((each) => each.includes(id)))
  platform.away = true
  clock.advance(120)
  t.equal((await ask(withKey(text))).status, 503)
  const everything = said.join('\n') + server.logs.join('\n') + JSON.stringify(await server.audit())
  const secret = text.slice(24)
  for (const spelling of [
    secret,
    Buffer.from(secret).toString('hex'),
    Buffer.from(secret).toString('base64').slice(0, 40),
  ]) {
    t.notOk(everything.includes(spelling), spelling.slice(0, 6))
  }
  t.match(everything, id, 'the id is public, and says which key it was')
})
