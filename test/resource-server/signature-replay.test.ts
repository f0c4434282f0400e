import t from 'tap'
import { type RequestLike, signature } from '../../packages/resource-server/src/index.js'
import { createReplayMemory } from '../../packages/resource-server/src/signature/replay-memory.js'
import { keyId, makeSigningKey, origin, post, signedScene } from './support/signed.js'
import { makeKey, signatureOf } from './support/signing.js'

t.test('a signature counts for a minute, and the clocks may differ by some seconds', async (t) => {
  const { outcome, send, platform } = await signedScene(t, { clockSkew: 5 })
  const at = (seconds: number) => ({ platform: { now: () => platform.now() + seconds * 1000 } })
  t.equal(await outcome(await send(at(5))), 'ok', 'a clock that is ahead')
  t.equal(await outcome(await send(at(6))), 'signature_not_yet_valid')
  t.equal(await outcome(await send(at(-65))), 'ok', 'a clock that is behind')
  t.equal(await outcome(await send(at(-66))), 'signature_expired')
  const kept = await send()
  platform.advance(65_000)
  t.equal(await outcome(kept), 'ok', 'a slow way')
  const late = await send()
  platform.advance(65_001)
  t.equal(await outcome(late), 'signature_expired')
})

t.test('RFC 9421 §2.3: expires may end it sooner, never later', async (t) => {
  const { outcome, platform, keys } = await signedScene(t, { clockSkew: 0 })
  const pair = makeKey('EdDSA')
  keys.set(keyId, { ...makeSigningKey().key, jwk: pair.publicKey.export({ format: 'jwk' }) as Record<string, unknown> })
  const sent = (lifetime: number, nonce: string): RequestLike => {
    const created = platform.seconds
    const inner = `("@method" "@target-uri");created=${created};expires=${created + lifetime};nonce="${nonce}";keyid="${keyId}";tag="ostiary"`
    const base = `"@method": GET\n"@target-uri": ${origin}/\n"@signature-params": ${inner}`
    const made = signatureOf('EdDSA', pair.privateKey, base).toString('base64')
    const headers = { 'signature-input': `a=${inner}`, signature: `a=:${made}:` }
    return { method: 'GET', url: '/', headers, rawBody: new Uint8Array(0) }
  }
  const [short, long] = [sent(10, 'a'.repeat(16)), sent(1000, 'b'.repeat(16))]
  platform.advance(10_000)
  t.equal(await outcome(short), 'ok')
  platform.advance(1)
  t.equal(await outcome({ ...short }), 'signature_expired')
  platform.advance(50_000)
  t.equal(await outcome(long), 'signature_expired')
})

t.test('a nonce is used once, by concurrent requests too', async (t) => {
  const { outcome, send, platform } = await signedScene(t)
  const sent = await send(post)
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => outcome({ ...sent })))
  t.equal(outcomes.filter((each) => each === 'ok').length, 1)
  t.equal(outcomes.filter((each) => each === 'signature_replayed').length, 19)
  platform.advance(65_000)
  t.equal(await outcome(sent), 'signature_replayed', 'for as long as it counts')
  platform.advance(1_001)
  t.equal(await outcome(sent), 'signature_expired')
})

t.test('a memory that is full forgets nothing', async (t) => {
  const { api, outcome, send, platform } = await signedScene(t, { capacity: 12 })
  const sent = await Promise.all([send(), send(), send(), send()])
  const outcomes: string[] = []
  for (const each of sent) outcomes.push(await outcome(each))
  t.same(outcomes, ['ok', 'ok', 'ok', 'replay_memory_full'])
  t.match(await api.check(sent[3]!), { status: 503, headers: { 'retry-after': '1' } })
  for (const each of sent.slice(0, 3)) t.equal(await outcome(each), 'signature_replayed')
  platform.advance(66_000)
  t.equal(await outcome(await send()), 'ok')
})

t.test('attack 117: one key fills a quarter of the memory, and others go on', (t) => {
  const memory = createReplayMemory(8)
  const remember = (keyId: string, nonce: string, until = 100, now = 50) => memory.remember(keyId, nonce, until, now)
  t.same(
    ['a', 'b', 'c'].map((nonce) => remember('one', nonce)),
    ['new', 'new', 'full'],
  )
  t.equal(remember('one', 'a'), 'used')
  for (const keyId of ['two', 'three', 'four']) t.equal(remember(keyId, 'a'), 'new')
  t.equal(remember('one', 'd', 200, 101), 'new', 'they are over')
  t.same(
    ['e', 'f'].map((nonce) => remember('one', nonce, 200, 101)),
    ['new', 'full'],
  )
  t.end()
})

t.test('attack 133: a clock that is set back makes nothing good that was used', async (t) => {
  const { outcome, send, platform } = await signedScene(t)
  const sent = await send()
  t.equal(await outcome(sent), 'ok')
  platform.setClock(3_600_000)
  t.equal(await outcome(await send()), 'ok', 'by now it is forgotten')
  platform.setClock(-3_600_000)
  t.equal(await outcome(sent), 'signature_expired')
  platform.advance(1_000)
  t.equal(await outcome(await send()), 'ok', 'and the next is as good as ever')
})

t.test('processes that share a store refuse what another one saw', async (t) => {
  const store = new Map<string, number>()
  let away = false
  const replay = async (id: string, nonce: string, expiresAt: number) => {
    if (away) throw new Error('away')
    const key = `${id}:${nonce}`
    const before = store.has(key)
    store.set(key, expiresAt)
    return before
  }
  const one = await signedScene(t, { replay })
  const two = signature({ origin, platform: one.platform, findKey: async (id) => one.keys.get(id), replay })
  const other = await one.issuer.protect(t, { schemes: [two] })
  const sent = await one.send()
  t.equal(await one.outcome(sent), 'ok')
  t.match(await other.api.check(sent), { ok: false, reason: 'signature_replayed' })
  t.same([...store.values()], [one.platform.seconds + 65])
  away = true
  const later = await one.send()
  t.match(await one.api.check(later), { ok: false, status: 503, reason: 'replay_store_unavailable' })
  away = false
  t.equal(await one.outcome(later), 'signature_replayed', 'what may have reached the store is not tried again')
  const careless = await signedScene(t, { replay: (async () => undefined) as unknown as typeof replay })
  t.equal(await careless.outcome(await careless.send()), 'signature_replayed', 'only a clear no counts')
})

t.test(
  'attack 114: what was signed before the process began is refused, since the one before may have seen it',
  async (t) => {
    const { issuer, platform, keys, outcome, send } = await signedScene(t)
    const at = (seconds: number) => ({ platform: { now: () => platform.now() + seconds * 1000 } })
    platform.advance(400)
    const seen = await Promise.all([send(), send(at(-3)), send(at(5))])
    for (const each of seen) t.equal(await outcome(each), 'ok')
    const started = signature({ origin, platform, findKey: async (id) => keys.get(id) })
    const { api } = await issuer.protect(t, { schemes: [started] })
    const again = async (request: RequestLike) => {
      const decision = await api.check({ ...request })
      return decision.ok ? 'ok' : decision.reason
    }
    for (const each of seen) t.equal(await again(each), 'replay_memory_starting')
    t.match(await api.check(await send()), { status: 503, headers: { 'retry-after': '6' } })
    platform.advance(5_599)
    t.equal(await again(await send()), 'replay_memory_starting')
    t.equal(await again(seen[2]!), 'replay_memory_starting')
    platform.advance(1)
    const first = await send()
    t.equal(await again(first), 'ok')
    t.equal(await again(first), 'signature_replayed')
    t.equal(await again(await send(at(-1))), 'replay_memory_starting', 'a clock that is behind waits as much longer')
    for (const each of seen) t.equal(await again(each), 'replay_memory_starting')
    platform.advance(1_000)
    t.equal(await again(await send(at(-1))), 'ok')
    platform.advance(59_000)
    for (const each of seen.slice(0, 2)) t.equal(await again(each), 'signature_expired', 'and so to their end')
    t.equal(await again(seen[2]!), 'replay_memory_starting')
  },
)

t.test('a clock that was wrong when the process began, and is set back, keeps nobody out for longer', async (t) => {
  const { issuer, platform, keys, send } = await signedScene(t)
  platform.setClock(3_600_000)
  const started = signature({ origin, platform, findKey: async (id) => keys.get(id) })
  platform.setClock(-3_600_000)
  const { api } = await issuer.protect(t, { schemes: [started] })
  t.match(await api.check(await send()), { status: 503, reason: 'replay_memory_starting' })
  platform.advance(6_000)
  t.match(await api.check(await send()), { ok: true })
})
