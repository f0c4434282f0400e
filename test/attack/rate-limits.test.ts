import t from 'tap'
import { createTier } from '../../src/limits/index.js'
import { createTestServer, sql } from '../support/server.js'

const form = { grant_type: 'client_credentials' }
const by = { actor: 'operator' }

t.test(
  'attack 117: past its tier a client is 429 with Retry-After, at every process, and writes nothing more',
  async (t) => {
    const first = await createTestServer(t)
    const second = await createTestServer(t, { beside: first })
    await first.createResource('https://api.example', 'read')
    await createTier(first.ctx, 'gold', { limit: 20, window: 20, burst: 10 }, by)
    const { basic } = await first.createService('read', { rate_tier: 'gold' })
    await second.refresh()
    const ask = (index: number) => (index % 2 ? first : second).post('/token', form, { authorization: basic })

    const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => ask(index)))
    t.equal(answers.filter(({ statusCode }) => statusCode === 200).length, 10, 'the burst, over both')
    for (const { statusCode, headers } of answers) {
      if (statusCode !== 200) t.match(headers, { 'retry-after': /^[1-9]\d*$/, ratelimit: '"gold";r=0;t=10' })
      if (statusCode !== 200) t.equal(statusCode, 429)
    }

    const versions = async () =>
      (await sql(first, 'SELECT xmin::text, ctid::text FROM rate_limit')).map((row) => ({ ...row }))
    await ask(0)
    await ask(1)
    const before = await versions()
    const flood = await Promise.all(Array.from({ length: 500 }, (_, index) => ask(index)))
    t.ok(flood.every(({ statusCode }) => statusCode === 429))
    t.same(await versions(), before, 'five hundred refusals wrote no row')
    t.equal(before.length, 1)

    first.clock.advance(Number(flood[0]!.headers['retry-after']))
    t.equal((await ask(0)).statusCode, 200, 'and after the seconds that it was told it is served')
  },
)
