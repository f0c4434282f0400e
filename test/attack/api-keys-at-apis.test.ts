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

t.test('attack 101: who makes passwords up locks neither the API out at its server, nor other accounts', async (t) => {
  let from = 0
  const schemes = [bearer, apiKey(), basic()]
  const { ask, asked, platform } = await open(t, { schemes, addressOf: () => `198.51.${from}.7` })
  const guess = (text: string) => ask({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })
  const { clientId, clientSecret } = await server.createService('orders:read')
  t.equal((await guess(`${clientId}:${clientSecret}`)).status, 200)
  const guessed: Awaited<ReturnType<typeof guess>>[] = []
  for (from = 1; from <= 200; from++)
    guessed.push(await guess(`${from % 2 ? clientId : `nobody ${from}`}:wrong ${from}`))
  const answered = (status: number) => guessed.filter((each) => each.status === status)
  t.equal(answered(401).length, 30)
  t.equal(answered(503).length, 170)
  t.ok(answered(503).every(({ headers }) => Number(headers.get('retry-after')) > 1))
  t.notOk(platform.answers.some(({ status }) => status === 429))

  const before = platform.answers.length
  const { clientId: own } = scene.resource
  for (let count = 0; count < 3; count++) t.equal((await guess(`${own}:wrong ${count}`)).status, 401)
  t.notOk(
    platform.answers.slice(before).some(({ path }) => path === '/token'),
    'of the API itself it asks about none',
  )

  const { text } = await make()
  t.equal((await ask(withKey(text))).status, 200, 'a key that it never saw')
  t.equal(asked(), 1)
  clock.advance(60)
  await until('it is right by what the server says now', async () => {
    return (await guess(`${clientId}:${clientSecret}`)).status === 200
  })
  clock.advance(540)
  const other = await server.createService('orders:read')
  await until('others may be asked about again', async () => {
    return (await guess(`${other.clientId}:${other.clientSecret}`)).status === 200
  })
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
