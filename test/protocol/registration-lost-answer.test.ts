import t, { type Test } from 'tap'
import { disableClient, enableClient, rotateSecret, updateClient } from '../../src/clients/index.js'
import { ask, metadata, type Registered, registered, type Sent } from '../support/registration.js'
import { basicOf, createTestServer, registration, sql, type TestServer } from '../support/server.js'

// RFC 7592 §2.2: a change of a registration is answered by another token. The answer may get lost, so the token before stays good
// until the client has shown that it heard: two at most, and never the one before that.

const env = {
  REGISTRATION: 'open',
  REGISTRATION_QUOTA: '100000',
  REGISTRATION_GRANT_TYPES: 'authorization_code client_credentials',
}
const server = await createTestServer(t, { env })
const service = { grant_types: ['client_credentials'], redirect_uris: undefined }
/** One that has no secret until it changes into the other. */
const open = { token_endpoint_auth_method: 'none' }

const bodyOf = ({ clientId }: Registered, more: object = {}) => ({ ...metadata, client_id: clientId, ...more })

const change = (client: Registered, sent: Sent, more: object = {}, at: TestServer = server) =>
  ask(at, 'PUT', client.path, bodyOf(client, more), sent)

const read = (client: Registered, sent: Sent, at: TestServer = server) => ask(at, 'GET', client.path, undefined, sent)

/** A change whose answer nobody heard, and the token that it told. */
async function changedUnheard(client: Registered, more: object = {}): Promise<{ readonly token: string }> {
  const reply = await change(client, client, more)
  if (reply.statusCode !== 200) throw new Error(`not changed: ${reply.statusCode} ${reply.body}`)
  return { token: reply.json().registration_access_token }
}

async function isOver(t: Test, client: Registered, sent: Sent, why: string): Promise<void> {
  const replies = [await read(client, sent), await change(client, sent)]
  replies.push(await ask(server, 'DELETE', client.path, undefined, sent))
  for (const reply of replies) {
    t.equal(reply.statusCode, 401, why)
    t.match(reply.json(), { error: 'invalid_token' })
  }
}

const getsToken = async (clientId: string, secret: string): Promise<boolean> => {
  const headers = { authorization: basicOf(clientId, secret) }
  return (await server.post('/token', { grant_type: 'client_credentials' }, headers)).statusCode === 200
}

t.test('RFC 7592 §2.2: a client whose answer got lost changes its registration once more', async (t) => {
  const client = await registered(server)
  const unheard = await changedUnheard(client, { client_name: 'Notes 2' })
  for (let turn = 0; turn < 3; turn++) {
    const reply = await change(client, client, { client_name: 'Notes 3' })
    t.equal(reply.statusCode, 200)
    t.match(reply.json(), { registration_access_token: unheard.token, client_name: 'Notes 3' })
  }
  t.match((await read(client, unheard)).json(), { registration_access_token: unheard.token, client_name: 'Notes 3' })
  await isOver(t, client, client, 'it was shown that the answer arrived')
})

t.test('RFC 7592 §2.1: a client whose answer got lost is told by reading, as often as it likes', async (t) => {
  const client = await registered(server)
  const unheard = await changedUnheard(client, { client_name: 'Notes 2' })
  for (let turn = 0; turn < 2; turn++) {
    const reply = await read(client, client)
    t.equal(reply.statusCode, 200)
    t.match(reply.json(), { registration_access_token: unheard.token, client_name: 'Notes 2' })
    t.notOk('client_secret' in reply.json(), 'which it has')
  }
  t.equal((await read(client, unheard)).statusCode, 200)
  await isOver(t, client, client, 'over')
})

t.test('RFC 7592 §5: the first use of the new token ends the one before, whatever it is used for', async (t) => {
  const uses: Readonly<Record<string, (client: Registered, sent: Sent) => Promise<number>>> = {
    'to read': async (client, sent) => (await read(client, sent)).statusCode,
    'to change': async (client, sent) => (await change(client, sent)).statusCode,
    'for a change that is refused': async (client, sent) =>
      (await change(client, sent, { redirect_uris: [] })).statusCode,
    'to delete': async (client, sent) => (await ask(server, 'DELETE', client.path, undefined, sent)).statusCode,
  }
  const statuses: number[] = []
  for (const [what, use] of Object.entries(uses)) {
    const client = await registered(server)
    const unheard = await changedUnheard(client)
    statuses.push(await use(client, unheard))
    await isOver(t, client, client, what)
  }
  t.same(statuses, [200, 200, 400, 204])
})

t.test('RFC 7592 §2.2: two tokens are good at most, however often it is changed', async (t) => {
  const client = await registered(server)
  const tokens = [client.token]
  for (let turn = 1; turn <= 5; turn++) {
    const reply = await change(client, { token: tokens.at(-1) })
    tokens.push(reply.json().registration_access_token)
    t.equal(new Set(tokens).size, tokens.length, 'another each time')
    const [previous, last] = tokens.slice(-2)
    // The previous one first: the last one ends it.
    for (const token of [...tokens.slice(0, -2), previous]) {
      t.equal((await read(client, { token })).statusCode, token === previous ? 200 : 401)
    }
    t.equal((await read(client, { token: last })).statusCode, 200)
  }
})

t.test('RFC 7592 §2.2: a secret that was made by a change whose answer got lost is told again', async (t) => {
  const client = await registered(server, open)
  const made = (await change(client, client, service)).json()
  t.match(made.client_secret, /^[\w-]{43}$/)
  for (const reply of [await read(client, client), await change(client, client, service), await read(client, client)]) {
    const { client_secret, registration_access_token } = reply.json()
    t.same(
      { client_secret, registration_access_token },
      { client_secret: made.client_secret, registration_access_token: made.registration_access_token },
    )
  }
  t.ok(await getsToken(client.clientId, made.client_secret))
  const heard = { token: made.registration_access_token }
  t.notOk('client_secret' in (await read(client, heard)).json(), 'who has heard is told no more')
  t.notOk('client_secret' in (await change(client, heard, service)).json())
  t.ok(await getsToken(client.clientId, made.client_secret))
})

t.test('a secret that ended meanwhile is not told, nor that of a client that needs none', async (t) => {
  const by = { actor: 'operator' }
  const rotated = await registered(server, open)
  const first = (await change(rotated, rotated, service)).json().client_secret
  const { clientSecret } = await rotateSecret(server.ctx, rotated.clientId, { overlap: 60, by })
  t.equal((await read(rotated, rotated)).json().client_secret, first, 'it works for a minute')
  server.clock.advance(60)
  for (const reply of [await read(rotated, rotated), await change(rotated, rotated, service)]) {
    t.equal(reply.statusCode, 200)
    t.notOk('client_secret' in reply.json())
  }
  t.ok(await getsToken(rotated.clientId, clientSecret), 'that of the administrator stays')

  const freed = await registered(server, open)
  const before = (await change(freed, freed, service)).json().client_secret
  t.notOk('client_secret' in (await change(freed, freed, open)).json())
  t.notOk('client_secret' in (await read(freed, freed)).json())
  const after = (await change(freed, freed, service)).json().client_secret
  t.match(after, /^[\w-]{43}$/)
  t.not(after, before)
  t.equal((await read(freed, freed)).json().client_secret, after)
})

t.test(
  'RFC 7592 §2.2: of 200 changes at once by one token all are told the same, and one secret is made',
  async (t) => {
    const beside = await createTestServer(t, { beside: server, env })
    const client = await registered(server, open)
    const replies = await Promise.all(
      Array.from({ length: 200 }, (_, n) => change(client, client, service, n % 2 ? beside : server)),
    )
    const busy = replies.filter(({ statusCode }) => statusCode === 503).length
    const told = replies.filter(({ statusCode }) => statusCode === 200).map((reply) => reply.json())
    t.equal(told.length + busy, 200, 'nobody is refused')
    t.ok(told.length > 0)
    const [first] = told
    t.same(new Set(told.map((answer) => answer.registration_access_token)), new Set([first.registration_access_token]))
    t.same(new Set(told.map((answer) => answer.client_secret)), new Set([first.client_secret]))
    t.equal((await server.ctx.clients.find(client.clientId))?.secrets.length, 1)
    t.ok(await getsToken(client.clientId, first.client_secret))
    t.equal((await read(client, { token: first.registration_access_token })).statusCode, 200)
    await isOver(t, client, client, 'and it is over as ever')
  },
)

t.test(
  'RFC 7592 §5: of 200 at once by both tokens, none by the one before gets through behind the first use',
  async (t) => {
    const beside = await createTestServer(t, { beside: server, env })
    const client = await registered(server)
    const unheard = await changedUnheard(client)
    let used = false
    const attempts = Array.from({ length: 200 }, async (_, n) => {
      const at = n % 2 ? beside : server
      if (n % 4 === 2) {
        const reply = await read(client, unheard, at)
        used ||= reply.statusCode === 200
        return t.equal(reply.statusCode, 200, 'the last token is never refused')
      }
      const isLate = used
      const reply = n % 4 === 0 ? await read(client, client, at) : await change(client, client, {}, at)
      if (isLate) t.equal(reply.statusCode, 401)
      if (reply.statusCode !== 200) return t.match([401, 503], [reply.statusCode === 503 ? 401 : reply.statusCode])
      return t.equal(reply.json().registration_access_token, unheard.token)
    })
    await Promise.all(attempts)
    await isOver(t, client, client, 'over')
    t.equal((await read(client, unheard)).statusCode, 200)
  },
)

t.test('RFC 7592 §2.3: deletion ends both, and may be asked by the token before', async (t) => {
  for (const which of ['previous', 'last'] as const) {
    const client = await registered(server)
    const unheard = await changedUnheard(client)
    const sent = which === 'previous' ? client : unheard
    t.equal((await ask(server, 'DELETE', client.path, undefined, sent)).statusCode, 204)
    for (const token of [client.token, unheard.token]) await isOver(t, client, { token }, which)
    t.same(await sql(server, 'SELECT FROM registration_answer WHERE client_id = $1', [client.clientId]), [])
  }
})

t.test('RFC 7592 §2.1: while the client is disabled both are forbidden, and none ends the other', async (t) => {
  const by = { actor: 'operator' }
  const client = await registered(server)
  const unheard = await changedUnheard(client)
  await disableClient(server.ctx, client.clientId, by)
  for (const sent of [unheard, client]) {
    for (const reply of [await read(client, sent), await change(client, sent)]) t.equal(reply.statusCode, 403)
    t.equal((await ask(server, 'DELETE', client.path, undefined, sent)).statusCode, 403)
  }
  await enableClient(server.ctx, client.clientId, by)
  t.match((await read(client, client)).json(), { registration_access_token: unheard.token })
})

t.test('what an administrator changes meanwhile leaves both as they are', async (t) => {
  const client = await registered(server)
  const unheard = await changedUnheard(client)
  await updateClient(server.ctx, client.clientId, { access_token_lifetime: 90 }, registration)
  t.match((await read(client, client)).json(), { registration_access_token: unheard.token })
  t.equal((await read(client, unheard)).statusCode, 200)
})

t.test('a process of the release before, which replaces the token alone: the one before that stays over', async (t) => {
  const client = await registered(server)
  const unheard = await changedUnheard(client)
  // As that one does it, asked by the last token.
  const [row] = await sql(server, 'SELECT registration_access_hash AS hash FROM client WHERE client_id = $1', [
    (await registered(server)).clientId,
  ])
  await sql(server, 'UPDATE client SET registration_access_hash = $2 WHERE client_id = $1', [
    client.clientId,
    row?.['hash'],
  ])
  await isOver(t, client, client, 'the answer was heard by that process')
  await isOver(t, client, unheard, 'and its token replaced')
})

t.test('attack 97: the token before of one client opens no other', async (t) => {
  const [a, b] = [await registered(server), await registered(server)]
  const unheard = await changedUnheard(a)
  await changedUnheard(b)
  await isOver(t, b, a, 'another’s')
  await isOver(t, b, unheard, 'another’s')
  t.equal((await read(b, b)).statusCode, 200)
})

t.test('no token and no secret of an answer is in the database, the log or the audit', async (t) => {
  const client = await registered(server, open)
  const { client_secret, registration_access_token } = (await change(client, client, service)).json()
  await read(client, client)
  const [row] = await sql(
    server,
    `SELECT encode(answer, 'escape') AS answer FROM registration_answer WHERE client_id = $1`,
    [client.clientId],
  )
  t.ok(row?.['answer'])
  const rows = await sql(
    server,
    'SELECT row_to_json(a)::text AS a, row_to_json(c)::text AS c FROM registration_answer a JOIN client c USING (client_id)',
  )
  const kept = JSON.stringify([row, rows, server.logs, await server.audit()])
  for (const secret of [client.token, client_secret, registration_access_token]) t.notMatch(kept, secret)
})
