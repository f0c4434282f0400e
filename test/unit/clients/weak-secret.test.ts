import t from 'tap'
import { createTestServer } from '../../support/server.js'

const form = { grant_type: 'client_credentials' }
const weak = { client_secret: 'chosen by a person' }

t.test('attack 102: of 200 guesses at a weak secret at once, no more than the bound compute a hash', async (t) => {
  const server = await createTestServer(t)
  const client = await server.createClient(
    { redirect_uris: undefined, grant_types: ['client_credentials'], ...weak },
    true,
  )
  const wrong = `Basic ${Buffer.from(`${client.clientId}:wrong`).toString('base64')}`
  const before = server.ctx.passwords.computed

  const replies = await Promise.all(
    Array.from({ length: 200 }, () => server.post('/token', form, { authorization: wrong })),
  )

  t.equal(server.ctx.passwords.computed - before, 10)
  const statuses = replies.map(({ statusCode }) => statusCode)
  t.equal(statuses.filter((status) => status === 401).length, 10)
  t.equal(statuses.filter((status) => status === 429).length, 190)
  t.ok(
    replies.filter(({ statusCode }) => statusCode === 429).every(({ headers }) => Number(headers['retry-after']) > 0),
  )
  const events = await server.audit('client.authentication_failed')
  t.equal(
    events.reduce((sum, { count = 1 }) => sum + count, 0),
    10,
    'each failure is counted once',
  )
  t.equal(
    (await server.post('/token', form, { authorization: client.basic })).statusCode,
    429,
    'also for the right one',
  )
})

t.test('successes are never limited: 60 requests at once with the right weak secret', async (t) => {
  const server = await createTestServer(t)
  const client = await server.createClient(
    { redirect_uris: undefined, grant_types: ['client_credentials'], ...weak },
    true,
  )
  const replies = await Promise.all(
    Array.from({ length: 60 }, () => server.post('/token', form, { authorization: client.basic })),
  )
  t.ok(replies.every(({ statusCode }) => statusCode === 200))
})

t.test('a right weak secret forgets the failures before it', async (t) => {
  const server = await createTestServer(t)
  const client = await server.createClient(
    { redirect_uris: undefined, grant_types: ['client_credentials'], ...weak },
    true,
  )
  const wrong = `Basic ${Buffer.from(`${client.clientId}:wrong`).toString('base64')}`
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 9; n++) t.equal((await server.post('/token', form, { authorization: wrong })).statusCode, 401)
    t.equal((await server.post('/token', form, { authorization: client.basic })).statusCode, 200)
  }
})
