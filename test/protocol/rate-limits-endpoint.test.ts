import { randomUUID } from 'node:crypto'
import t from 'tap'
import { createTier } from '../../src/limits/index.js'
import { createTestServer, sql, type TestServer } from '../support/server.js'

const by = { actor: 'operator' }
const keyOf = (letter: string): string => letter.repeat(43)

async function openScene(test: Parameters<typeof createTestServer>[0]) {
  const server = await createTestServer(test)
  await createTier(server.ctx, 'gold', { limit: 10, window: 10, burst: 5 }, by)
  const tokenOf = async (identifier: string): Promise<string> => {
    const { basic } = await server.createResource(identifier, 'read')
    const form = { grant_type: 'client_credentials', scope: 'revocations' }
    return (await server.post('/token', form, { authorization: basic })).json().access_token
  }
  return { server, tokenOf, token: await tokenOf('https://api.example') }
}

const lease = (server: TestServer, token: string, asks: readonly string[], more: Record<string, string> = {}) =>
  server.post('/rate-limits', { lease: asks, ...more }, { authorization: `Bearer ${token}` })

t.test('an API leases for many keys in one request, and hears what each tier is', async (t) => {
  const { server, token } = await openScene(t)
  const answer = await lease(server, token, [`gold ${keyOf('a')} 3`, `gold ${keyOf('b')} 9`, `none ${keyOf('a')} 1`])
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  const policy = { limit: 10, window: 10, burst: 5 }
  t.same(answer.json(), {
    leases: [{ granted: 3, debt: 3_000, ...policy }, { granted: 5, debt: 5_000, ...policy }, null],
  })
  t.match((await lease(server, token, [`gold ${keyOf('a')} 3`])).json(), { leases: [{ granted: 2 }] })
})

t.test('what an API leases is nobody else’s', async (t) => {
  const { server, token, tokenOf } = await openScene(t)
  await lease(server, token, [`gold ${keyOf('a')} 5`])
  const other = await tokenOf('https://other.example')
  t.match((await lease(server, other, [`gold ${keyOf('a')} 5`])).json(), { leases: [{ granted: 5 }] })
})

t.test('instances are counted, for each API', async (t) => {
  const { server, token, tokenOf } = await openScene(t)
  const announce = async (of = token) => (await lease(server, of, [], { instance: randomUUID() })).json().instances
  t.equal(await announce(), 1)
  t.equal(await announce(), 2)
  t.equal(await announce(await tokenOf('https://other.example')), 1)
})

t.test('only an API may lease, by its own token', async (t) => {
  const { server, token } = await openScene(t)
  t.equal((await server.post('/rate-limits', { lease: [] })).statusCode, 401)
  t.equal((await lease(server, 'wrong', [])).statusCode, 401)
  const service = await server.createService('read')
  const form = { grant_type: 'client_credentials' }
  const { access_token } = (await server.post('/token', form, { authorization: service.basic })).json()
  t.ok([401, 403].includes((await lease(server, access_token, [])).statusCode))
  t.equal((await lease(server, token, [])).statusCode, 200)
})

t.test('what is malformed is refused, and nothing is counted', async (t) => {
  const { server, token } = await openScene(t)
  const wrong = [
    'gold',
    `gold ${keyOf('a')}`,
    `gold ${keyOf('a')} 0`,
    `gold ${keyOf('a')} -1`,
    `gold short 1`,
    ` ${keyOf('a')} 1`,
  ]
  for (const ask of [...wrong, `Gold ${keyOf('a')} 1`, `gold ${keyOf('a')} 1 1`, `gold ${keyOf('ä')} 1`]) {
    t.equal((await lease(server, token, [`gold ${keyOf('a')} 1`, ask])).statusCode, 400, ask)
  }
  t.equal(
    (
      await lease(
        server,
        token,
        Array.from({ length: 101 }, () => `gold ${keyOf('a')} 1`),
      )
    ).statusCode,
    400,
  )
  t.equal((await lease(server, token, [], { instance: 'me' })).statusCode, 400)
  t.same(await sql(server, 'SELECT FROM rate_limit'), [])
})

t.test('a store that is away is 503, and the API goes on by itself', async (t) => {
  const { server, token } = await openScene(t)
  await sql(server, 'ALTER TABLE rate_limit RENAME TO elsewhere')
  const answer = await lease(server, token, [`gold ${keyOf('a')} 1`])
  t.equal(answer.statusCode, 503)
  t.equal(answer.headers['retry-after'], '1')
})
