import { deflateRawSync, deflateSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { TestIssuer } from './support/issuer.js'
import { until } from './support/platform.js'
import { makeKey } from './support/signing.js'

/** A verifier without credentials, and tokens that say where their status stands. */
async function open(t: Test) {
  const issuer = await TestIssuer.start(t)
  const protection = await issuer.protect(t)
  const tokenAt = (idx: unknown, uri: unknown = issuer.statusUri()) =>
    issuer.token({ status: { status_list: { idx, uri } } })
  const lists = () => issuer.asked.filter((path) => path.startsWith('/status-lists')).length
  const setStatus = (idx: number, bits = 1, value = 1) => {
    issuer.statuses[Math.floor((idx * bits) / 8)]! |= value << ((idx * bits) % 8)
  }
  return { issuer, ...protection, tokenAt, lists, setStatus }
}

t.test('Token Status List §8.3: what the list says decides, for every index', async (t) => {
  const { tokenAt, outcome, setStatus, lists, issuer } = await open(t)
  for (const idx of [0, 1, 7, 8, 9, 500, 1023]) setStatus(idx)
  for (const idx of [0, 1, 7, 8, 9, 500, 1023]) t.equal(await outcome(tokenAt(idx)), 'revoked', String(idx))
  for (const idx of [2, 6, 10, 499, 501, 1022]) t.equal(await outcome(tokenAt(idx)), 'ok', String(idx))
  t.equal(await outcome(tokenAt(1024)), 'revoked', 'behind the end of the list')
  t.equal(lists(), 1)
  const seen = tokenAt(3)
  t.equal(await outcome(seen), 'ok')
  setStatus(3)
  t.equal(await outcome(seen), 'ok', 'for the ttl of the list')
  issuer.platform.advance(60_000)
  t.equal(await outcome(seen), 'revoked', 'and not longer, also where the token was seen before')
  t.equal(lists(), 2)
})

for (const bits of [2, 4, 8]) {
  t.test(`Token Status List §4.1: statuses of ${bits} bits, the least significant first`, async (t) => {
    const { issuer, tokenAt, outcome, setStatus } = await open(t)
    const values: Record<number, number> = { 1: 1, 4: (1 << bits) - 1, 7: 1 << (bits - 1), 100: 2 }
    for (const [idx, value] of Object.entries(values)) setStatus(Number(idx), bits, value)
    issuer.handlers.set('/status-lists/1', (_, response) => {
      response.end(
        issuer.statusList({ status_list: { bits, lst: deflateSync(issuer.statuses).toString('base64url') } }),
      )
    })
    for (let idx = 0; idx < 110; idx++)
      t.equal(await outcome(tokenAt(idx)), idx in values ? 'revoked' : 'ok', String(idx))
  })
}

t.test('the example of the draft, §4.1: one bit', async (t) => {
  const { issuer, tokenAt, outcome } = await open(t)
  // 16 tokens, 0xb9 0xa3: as it is printed, with the compressed form.
  issuer.handlers.set('/status-lists/1', (_, response) => {
    response.end(issuer.statusList({ status_list: { bits: 1, lst: 'eNrbuRgAAhcBXQ' } }))
  })
  const expected = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
  for (const [idx, status] of expected.entries())
    t.equal(await outcome(tokenAt(idx)), status === 1 ? 'revoked' : 'ok', String(idx))
})

t.test('many tokens of a list fetch it once', async (t) => {
  const { tokenAt, outcome, lists } = await open(t)
  const outcomes = await Promise.all(Array.from({ length: 100 }, (_, idx) => outcome(tokenAt(idx))))
  t.same(new Set(outcomes), new Set(['ok']))
  t.equal(lists(), 1)
})

t.test('attack 77: a list that is another one, or nobody signed, or is over, is none: 503', async (t) => {
  const past = (issuer: TestIssuer) => issuer.platform.seconds - 6
  const bad: readonly ((issuer: TestIssuer) => string)[] = [
    (issuer) => issuer.statusList({}, { ...makeKey(), kid: issuer.key.kid }),
    (issuer) => issuer.statusList({}, issuer.key, 'at+jwt'),
    (issuer) => issuer.statusList({}, issuer.key, 'JWT'),
    (issuer) => issuer.statusList({ sub: `${issuer.issuer}/status-lists/2` }),
    (issuer) => issuer.statusList({ sub: undefined }),
    (issuer) => issuer.statusList({ iss: 'https://other.example' }),
    (issuer) => issuer.statusList({ exp: past(issuer) }),
    (issuer) => issuer.statusList({ iat: undefined }),
    (issuer) => issuer.statusList({ iat: issuer.platform.seconds + 60 }),
    (issuer) => issuer.statusList({ status_list: undefined }),
    (issuer) => issuer.statusList({ status_list: { bits: 3, lst: 'eNrbuRgAAhcBXQ' } }),
    (issuer) => issuer.statusList({ status_list: { bits: 1, lst: 'eNrbuRgAAhcBXQ=' } }),
    (issuer) => issuer.statusList({ status_list: { bits: 1, lst: 'AAAA' } }),
    (issuer) =>
      issuer.statusList({ status_list: { bits: 1, lst: deflateRawSync(issuer.statuses).toString('base64url') } }),
    (issuer) =>
      issuer.statusList({
        status_list: { bits: 1, lst: deflateSync(issuer.statuses).subarray(0, -3).toString('base64url') },
      }),
    () => '{}',
  ]
  for (const [index, make] of bad.entries()) {
    const { issuer, tokenAt, check } = await open(t)
    issuer.handlers.set('/status-lists/1', (_, response) => response.end(make(issuer)))
    t.match(await check(tokenAt(0)), { status: 503, reason: 'status_list_unavailable' }, String(index))
  }
})

t.test('attack 81: a list that unpacks to more than any list is', async (t) => {
  const { issuer, tokenAt, outcome } = await open(t)
  issuer.handlers.set('/status-lists/1', (_, response) => {
    response.end(
      issuer.statusList({
        status_list: { bits: 1, lst: deflateSync(Buffer.alloc(64 * 1024 * 1024)).toString('base64url') },
      }),
    )
  })
  t.equal(await outcome(tokenAt(0)), 'status_list_unavailable')
})

t.test('a token sends nobody elsewhere for its status', async (t) => {
  const { issuer, tokenAt, outcome } = await open(t)
  const before = issuer.platform.fetched.length
  for (const uri of [
    'https://evil.example/status-lists/1',
    `${issuer.issuer}.evil.example/status-lists/1`,
    `${issuer.issuer}@evil.example/`,
    `${issuer.issuer}/../x`,
    'file:///etc/passwd',
    'http://169.254.169.254/',
    '',
    undefined,
    1,
  ]) {
    t.equal(await outcome(issuer.token({ status: { status_list: { idx: 0, uri } } })), 'revoked', String(uri))
  }
  for (const idx of [-1, 0.5, '0', null, Number.MAX_SAFE_INTEGER + 2])
    t.equal(await outcome(tokenAt(idx)), 'revoked', String(idx))
  for (const status of [null, 1, 'x', {}, { status_list: 1 }, { status_list: [] }])
    t.equal(await outcome(issuer.token({ status })), 'revoked')
  t.ok(issuer.platform.fetched.slice(before).every((url) => url === issuer.statusUri()))
})

t.test('a server that is away: the last list is good until it expires, and then nothing is let through', async (t) => {
  const { issuer, tokenAt, outcome, setStatus, lists, warnings } = await open(t)
  setStatus(1)
  const token = (idx: number) => tokenAt(idx)
  t.equal(await outcome(token(0)), 'ok')
  issuer.handlers.set('/status-lists/1', (_, response) => response.writeHead(503).end())
  issuer.platform.advance(60_000)
  t.equal(await outcome(token(0)), 'ok')
  t.equal(await outcome(token(1)), 'revoked')
  t.equal(lists(), 2, 'and for a second nobody asks again')
  t.match(warnings, [/status list could not be fetched/])
  issuer.platform.advance(1_000)
  t.equal(await outcome(token(0)), 'ok')
  t.equal(lists(), 3)
  issuer.platform.advance(3_600_000)
  t.equal(await outcome(token(0)), 'status_list_unavailable')
  t.equal(await outcome(token(0)), 'status_list_unavailable', 'nor while nobody asks')
  issuer.handlers.delete('/status-lists/1')
  issuer.platform.advance(1_000)
  t.equal(await outcome(token(0)), 'ok')
})

t.test('lists are bounded', async (t) => {
  const { issuer, tokenAt, outcome } = await open(t)
  for (let id = 0; id < 70; id++) {
    const uri = `${issuer.issuer}/status-lists/n${id}`
    issuer.handlers.set(`/status-lists/n${id}`, (_, response) => response.end(issuer.statusList({ sub: uri })))
    t.equal(await outcome(tokenAt(0, uri)), 'ok')
  }
  issuer.handlers.clear()
  t.equal(await outcome(tokenAt(0, `${issuer.issuer}/status-lists/n69`)), 'ok')
  t.equal(
    await outcome(tokenAt(0, `${issuer.issuer}/status-lists/n0`)),
    'status_list_unavailable',
    'the first ones are gone',
  )
})

t.test('without feed and status list expiry is all there is, and that is told once', async (t) => {
  const { issuer, outcome, warnings, api } = await open(t)
  for (let index = 0; index < 3; index++) t.equal(await outcome(issuer.token()), 'ok')
  t.match(warnings, [/a token is good until it expires/])
  t.equal(warnings.length, 1)
  t.match(api.health(), { state: 'ready', revocation: 'status-list', age: undefined })
  await until('nothing is left over', () => issuer.platform.timers === 0)
})
