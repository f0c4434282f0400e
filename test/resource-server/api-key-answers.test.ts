import t, { type Test } from 'tap'
import { apiKey, bearer, type ProtectOptions, protect } from '../../packages/resource-server/src/index.js'
import { drawApiKey, drawApiKeyId } from '../../src/api-keys/format.js'
import { SeededRandom } from '../support/random.js'
import { audience, credentials, TestIssuer } from './support/issuer.js'
import { withKey } from './support/keys.js'
import { until } from './support/platform.js'
import type { Json } from './support/signing.js'

const random = new SeededRandom('answers about keys')

/** An API of a server that says what the test wants of keys. */
async function open(t: Test, options: Partial<ProtectOptions> = {}, feed = true) {
  const issuer = await TestIssuer.start(t)
  if (!feed) issuer.metadata = { revocation_feed_endpoint: undefined }
  const protection = await issuer.protect(t, { credentials, schemes: [bearer, apiKey()], ...options })
  const asked = () => issuer.asked.filter((path) => path === '/introspect').length
  function answer(id: string, more: Json = {}, described: Json = {}): Json {
    const api_key = { kind: 'secret', prefix: 'sk', environment: 'live', name: 'x', owner: 'user', networks: [] }
    const { platform } = issuer
    const claims = { iss: issuer.issuer, aud: audience, sub: 'user-1', client_id: id, scope: 'orders:read' }
    const times = { iat: platform.seconds, exp: platform.seconds + 3600 }
    return { active: true, token_type: 'api_key', ...claims, ...times, ...more, api_key: { ...api_key, ...described } }
  }
  function make(more?: Json, described?: Json) {
    const id = drawApiKeyId(random)
    const text = drawApiKey(random, { prefix: 'sk', environment: 'live', id })
    issuer.opaque.set(text, answer(id, more, described))
    return { id, text }
  }
  async function outcome(text: string): Promise<string> {
    const decision = await protection.api.check(withKey(text))
    return decision.ok ? 'ok' : decision.reason
  }
  /** The feed says so, and it was heard. */
  async function tell(...entries: readonly Json[]): Promise<void> {
    issuer.revoke(...entries)
    await until('it was heard', () => protection.api.health().position === String(issuer.log.length))
  }
  return { ...protection, issuer, platform: issuer.platform, asked, answer, make, outcome, tell }
}

t.test('what is said of a key stands for a minute, also while the feed is followed', async (t) => {
  const { api, issuer, platform, make, outcome, asked } = await open(t)
  const { text } = make()
  for (let count = 0; count < 12; count++) {
    t.equal(await outcome(text), 'ok')
    platform.advance(5_000)
    issuer.heartbeat()
    await until('it was heard', () => api.health().age === 0)
  }
  t.equal(asked(), 1)
  platform.advance(1)
  t.equal(await outcome(text), 'ok')
  t.equal(asked(), 2)
})

t.test('an entry of the feed that concerns a key is a reason to ask again, and no reason to refuse', async (t) => {
  const { issuer, make, outcome, asked, tell, platform } = await open(t)
  const now = platform.seconds
  const exp = now + 3600
  const concerning = (id: string): readonly Json[] => [
    { kind: 'api_key_state', id, nbf: now, exp },
    { kind: 'api_key', id, nbf: now, exp },
    { kind: 'api_keys', id: 'all', nbf: now, exp },
    { kind: 'api_keys', id: 'prefix:sk', nbf: now, exp },
    { kind: 'api_keys', id: 'owner:user:user-1', nbf: now, exp },
    { kind: 'user', id: 'user-1', nbf: now, exp },
    { kind: 'user', id: 'user-1' },
    { kind: 'role', id: 'user-1', nbf: now, exp },
  ]
  const { id, text } = make()
  t.equal(await outcome(text), 'ok')
  let count = 1
  for (const entry of concerning(id)) {
    await tell(entry)
    t.equal(await outcome(text), 'ok', `${entry['kind']} ${entry['id']}`)
    t.equal(await outcome(text), 'ok')
    t.equal(asked(), ++count, 'asked once more, whatever its iat')
  }
  for (const entry of [
    { kind: 'api_keys', id: 'prefix:pk', nbf: now, exp },
    { kind: 'api_keys', id: 'owner:client:user-1', nbf: now, exp },
    { kind: 'client', id: 'user-1', nbf: now, exp },
    { kind: 'client', id, nbf: now, exp },
    { kind: 'api_key', id: 'another', exp },
    { kind: 'token', id, exp },
  ]) {
    await tell(entry)
    t.equal(await outcome(text), 'ok')
    t.equal(asked(), count, `${entry.kind} ${entry.id} is of another`)
  }
  issuer.opaque.clear()
  await tell({ kind: 'api_key', id, exp })
  t.equal(await outcome(text), 'revoked')
  t.equal(asked(), count, 'what never comes back is not asked about')
})

t.test('an answer that was on its way when the feed spoke is none', async (t) => {
  const { issuer, make, outcome, asked, tell, platform } = await open(t)
  const { text } = make()
  let arrive = (): void => undefined
  issuer.handlers.set('/introspect', (_, response) => {
    const answer = JSON.stringify(issuer.opaque.get(text))
    arrive = () => response.end(answer)
  })
  const [first, beside] = [outcome(text), outcome(text)]
  await until('it was asked', () => asked() === 1)
  issuer.handlers.clear()
  issuer.opaque.delete(text)
  await tell({ kind: 'api_keys', id: 'all', nbf: platform.seconds, exp: platform.seconds + 3600 })
  arrive()
  t.same(await Promise.all([first, beside]), ['inactive', 'inactive'])
  t.equal(asked(), 2, 'asked again, once for both')
})

t.test('what was not heard counts as heard: another snapshot', async (t) => {
  const { issuer, make, outcome, asked, api, platform } = await open(t)
  const { text } = make()
  t.equal(await outcome(text), 'ok')
  issuer.opaque.delete(text)
  issuer.send('event: reset\ndata: {}\n\n')
  const again = () => issuer.asked.filter((path) => path === '/revocations/snapshot').length === 2
  await platform.passUntil('there is another snapshot', () => again() && api.health().connected)
  t.equal(await outcome(text), 'inactive')
  t.equal(asked(), 2)
})

t.test('many requests with one key are one question, and one that is not good is remembered briefly', async (t) => {
  const { make, outcome, asked, issuer, platform } = await open(t)
  const { text } = make()
  t.same(new Set(await Promise.all(Array.from({ length: 100 }, () => outcome(text)))), new Set(['ok']))
  t.equal(asked(), 1)
  const unknown = make()
  issuer.opaque.delete(unknown.text)
  for (let count = 0; count < 10; count++) t.equal(await outcome(unknown.text), 'inactive')
  t.equal(asked(), 2)
  platform.advance(5_000)
  t.equal(await outcome(unknown.text), 'inactive')
  t.equal(asked(), 3)
})

t.test('keys that are remembered are bounded, and made-up ones drive no good one out', async (t) => {
  const { make, outcome, asked, issuer } = await open(t, { cacheSize: 5 })
  const good = make()
  t.equal(await outcome(good.text), 'ok')
  for (let count = 0; count < 20; count++) {
    const { text } = make()
    issuer.opaque.delete(text)
    t.equal(await outcome(text), 'inactive')
  }
  t.equal(asked(), 21)
  t.equal(await outcome(good.text), 'ok')
  t.equal(asked(), 21)
  for (let count = 0; count < 5; count++) t.equal(await outcome(make().text), 'ok')
  t.equal(await outcome(good.text), 'ok')
  t.equal(asked(), 27, 'the oldest was forgotten')
})

t.test('more keys than may be asked about at once wait for their turn', async (t) => {
  const { make, outcome, asked } = await open(t)
  const keys = Array.from({ length: 500 }, () => make())
  t.same(new Set(await Promise.all(keys.map(({ text }) => outcome(text)))), new Set(['ok']))
  t.equal(asked(), 500)
})

t.test('who waits for too long is answered 503', async (t) => {
  const { make, outcome, asked, issuer, platform } = await open(t)
  issuer.handlers.set('/introspect', () => undefined)
  const all = Array.from({ length: 100 }, () => outcome(make().text))
  await until('some were asked about', () => asked() === 64)
  platform.advance(5_000)
  t.same(new Set(await Promise.all(all)), new Set(['introspection_unavailable']))
  t.equal(asked(), 64)
})

t.test('attack 113: made-up keys take no turn of a key that was good before', async (t) => {
  const { make, outcome, asked, issuer, platform, api } = await open(t)
  const known = make()
  t.equal(await outcome(known.text), 'ok')
  for (let count = 0; count < 12; count++) {
    platform.advance(5_000)
    issuer.heartbeat()
    await until('it was heard', () => api.health().age === 0)
  }
  platform.advance(1)
  const { handlers } = issuer
  const madeUp: Promise<string>[] = []
  handlers.set('/introspect', () => undefined)
  for (let count = 0; count < 200; count++) madeUp.push(outcome(make().text))
  await until('as many as may be are asked about', () => asked() === 65)
  handlers.clear()
  t.equal(await outcome(known.text), 'ok')
  platform.advance(5_000)
  t.ok((await Promise.all(madeUp)).includes('introspection_unavailable'))
})

t.test('attack 113: of keys that were never seen, those of each network have their turn', async (t) => {
  let from = '192.0.2.7'
  const { make, outcome, asked, issuer, platform } = await open(t, { addressOf: () => from })
  const waiting: (() => void)[] = []
  issuer.handlers.set('/introspect', (_, response, body) => {
    const token = new URLSearchParams(body).get('token') ?? ''
    waiting.push(() => response.end(JSON.stringify(issuer.opaque.get(token) ?? { active: false })))
  })
  const unknown = () => drawApiKey(random, { prefix: 'sk', environment: 'live', id: drawApiKeyId(random) })
  const flood = Array.from({ length: 1_000 }, () => outcome(unknown()))
  await until('as many as may be are asked about', () => asked() === 64)
  from = '203.0.113.7'
  const other = outcome(make().text)
  from = '192.0.2.8'
  const more = Array.from({ length: 100 }, () => outcome(unknown()))
  for (let answered = 0; answered < 3; answered++) {
    waiting.shift()!()
    await until('the next one is asked about', () => asked() === 65 + answered)
  }
  for (const answer of waiting.splice(0)) answer()
  t.equal(await other, 'ok', 'while a thousand wait')
  platform.advance(5_000)
  t.ok((await Promise.all([...flood, ...more])).includes('introspection_unavailable'))
})

t.test('without a feed that is fresh an answer stands a second, or the tolerance', async (t) => {
  const alone = await open(t, {}, false)
  const key = alone.make()
  t.equal(await alone.outcome(key.text), 'ok')
  alone.platform.advance(1_000)
  t.equal(await alone.outcome(key.text), 'ok')
  t.equal(alone.asked(), 1)
  alone.issuer.opaque.clear()
  alone.platform.advance(1)
  t.equal(await alone.outcome(key.text), 'inactive')

  const lost = await open(t, { tolerance: 500 })
  const { text } = lost.make()
  t.equal(await lost.outcome(text), 'ok')
  lost.issuer.handlers.set('/revocations', (_, response) => response.writeHead(503).end())
  lost.issuer.endStreams()
  lost.platform.advance(501)
  lost.issuer.opaque.clear()
  t.equal(await lost.outcome(text), 'inactive')
  await lost.issuer.stop()
  lost.platform.advance(10_000)
  t.match(await lost.api.check(withKey(lost.make().text)), { status: 503, reason: 'introspection_unavailable' })
})

t.test('near its end a key is asked about: the server knows when it is', async (t) => {
  const { make, outcome, asked, issuer, platform } = await open(t)
  const { text } = make({ exp: platform.seconds + 12 })
  t.equal(await outcome(text), 'ok')
  platform.advance(6_000)
  t.equal(await outcome(text), 'ok')
  t.equal(asked(), 1)
  platform.advance(1_000)
  t.equal(await outcome(text), 'ok')
  t.equal(asked(), 2, 'the clocks may differ by 5 s')
  platform.advance(250)
  t.equal(await outcome(text), 'ok')
  t.equal(asked(), 2)
  platform.advance(1)
  issuer.opaque.clear()
  t.equal(await outcome(text), 'inactive')
})

t.test(
  'attack 82: an answer that is not of a key for this API, or not understood to the last word, is none',
  async (t) => {
    const { make, outcome, issuer } = await open(t)
    const wrong: readonly (readonly [Json, Json?])[] = [
      [{ token_type: 'Bearer' }],
      [{ token_type: undefined }],
      [{ aud: 'https://other.example' }],
      [{ aud: [audience, 'https://other.example'] }],
      [{ iss: 'https://other.example' }],
      [{ sub: '' }],
      [{ client_id: 'another key' }],
      [{ exp: 'never' }],
      [{ iat: undefined }],
      [{ scope: ['orders:read'] }],
      [{}, { kind: 'signing' }],
      [{}, { kind: 'other' }],
      [{}, { networks: undefined }],
      [{}, { networks: '192.0.2.0/24' }],
      [{}, { networks: [1] }],
      [{}, { origins: 'https://a.example' }],
      [{}, { tier: 7 }],
      [{}, { tier: ['gold'] }],
      [{}, { owner: 'tenant' }],
      [{}, { prefix: undefined }],
    ]
    for (const [more, described] of wrong) {
      t.equal(await outcome(make(more, described).text), 'inactive', JSON.stringify([more, described]))
    }
    const { text, id } = make()
    issuer.opaque.set(text, { ...issuer.opaque.get(text), api_key: undefined, client_id: id })
    t.equal(await outcome(text), 'inactive')
    t.equal(await outcome(make({ scope: undefined }).text), 'ok', 'without a scope it may do nothing')
    t.equal(await outcome(make({}, { networks: ['192.0.2.0/33'] }).text), 'network_not_allowed')
    t.equal(await outcome(make({}, { tier: 'No Such Tier' }).text), 'ok', 'there can be none of that name')
    t.equal(await outcome(make({}, { kind: 'publishable' }).text), 'origin_not_allowed', 'without origins')
  },
)

t.test('a key cannot be checked without credentials, so the scheme is refused', async (t) => {
  const issuer = await TestIssuer.start(t)
  const options = { issuer: issuer.issuer, audience, platform: issuer.platform, schemes: [apiKey()] }
  await t.rejects(protect(options), { name: 'ConfigurationError', message: /api-key needs credentials/ })
})

t.test('one list of schemes may serve two APIs: what is remembered is of each alone', async (t) => {
  const scheme = apiKey()
  const [one, other] = [await open(t, { schemes: [scheme] }), await open(t, { schemes: [scheme] })]
  const { text } = one.make()
  t.equal(await one.outcome(text), 'ok')
  t.equal(await other.outcome(text), 'inactive')
  t.equal(await one.outcome(text), 'ok')
})
