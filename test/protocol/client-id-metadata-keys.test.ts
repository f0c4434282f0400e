import t from 'tap'
import { registerClient } from '../../src/clients/index.js'
import { OutboundError } from '../../src/platform/outbound/index.js'
import { authorizationUrl, authorize } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { createDocumentScene, documentOf } from '../support/client-documents.js'
import { makeKey, proofOf, type TestKey } from '../support/client-keys.js'
import { registration } from '../support/server.js'

// A client that its document describes rotates the keys in it, while nobody signs in.

const { asked, documents, publish, readings, redeem, server, user } = await createDocumentScene(t)
const headers = { 'cache-control': 'max-age=600' }
const grant_types = ['authorization_code', 'refresh_token']
const token_endpoint_auth_method = 'private_key_jwt'
const withKeys = (...keys: readonly TestKey[]) => ({
  ...{ token_endpoint_auth_method, grant_types },
  jwks: { keys: keys.map(({ jwk }) => jwk) },
})

type Named = ReturnType<typeof publish>

/** A client whose document has these keys, and a refresh token of it. */
async function createKeyed(key: TestKey) {
  const client = publish(withKeys(key), headers)
  const { code } = await authorize(server, client, user, asked)
  const reply = await redeem(client.clientId, code, await proofOf(server, key, client.clientId))
  let refreshToken: string = reply.json().refresh_token
  return {
    client,
    rotateTo: (...keys: readonly TestKey[]) =>
      documents.set(client.clientId, documentOf(client.clientId, withKeys(...keys)), { headers }),
    async refresh(by: TestKey, remoteAddress = '192.0.2.10') {
      const proof = await proofOf(server, by, client.clientId)
      const form = { grant_type: 'refresh_token', client_id: client.clientId, refresh_token: refreshToken, ...proof }
      const reply = await server.app.inject({
        ...{ method: 'POST', url: '/token', remoteAddress },
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        payload: new URLSearchParams(form).toString(),
      })
      if (reply.statusCode === 200) refreshToken = reply.json().refresh_token
      return reply
    },
  }
}

const away = async () => {
  throw new OutboundError('outbound_unreachable', 'It is away.')
}

const lastReason = async ({ clientId }: Named) =>
  (await server.audit('client.authentication_failed')).filter((event) => event.clientId === clientId).at(-1)?.reason

t.afterEach(() => {
  documents.meanwhile = async () => undefined
})

t.test('CIMD §6.2: a key that is rotated in the document counts at once, without a login', async (t) => {
  const [first, second] = [makeKey('ES256', 'first'), makeKey('ES256', 'second')]
  const { client, refresh, rotateTo } = await createKeyed(first)
  t.equal((await refresh(first)).statusCode, 200)
  t.equal(readings(client), 1, 'a key that is known has nobody asked')
  rotateTo(second)
  server.clock.advance(5)
  t.equal((await refresh(second)).statusCode, 200)
  t.equal(readings(client), 2)
  t.equal((await refresh(first)).statusCode, 503, 'whose key was read some seconds ago')
  server.clock.advance(5)
  t.match((await refresh(first)).json(), { error: 'invalid_client' })
  t.equal(readings(client), 3)
  t.equal(await lastReason(client), 'assertion_key_unknown')
  t.equal((await refresh(second)).statusCode, 200)
})

t.test('CIMD §4.4: a key that was taken out counts no longer than the document', async (t) => {
  const [first, second] = [makeKey('ES256', 'first'), makeKey('ES256', 'second')]
  const { client, refresh, rotateTo } = await createKeyed(first)
  rotateTo(second)
  server.clock.advance(599)
  t.equal((await refresh(first)).statusCode, 200, 'as long as it counts')
  server.clock.advance(1)
  t.match((await refresh(first)).json(), { error: 'invalid_client' })
  t.equal(readings(client), 2, 'read once: it is known to have no such key')
  t.equal((await refresh(second)).statusCode, 200)
  t.equal(readings(client), 2)
})

t.test('CIMD §4.4: /revoke and /introspect read it again as well', async (t) => {
  const [first, second] = [makeKey('ES256', 'first'), makeKey('ES256', 'second')]
  for (const path of ['/revoke', '/introspect']) {
    const { client, rotateTo } = await createKeyed(first)
    const status = async (key: TestKey) =>
      (await server.post(path, { token: 'none', ...(await proofOf(server, key, client.clientId)) })).statusCode
    rotateTo(second)
    server.clock.advance(600)
    t.equal(await status(first), 401, path)
    t.not(await status(second), 401, path)
    t.equal(readings(client), 2)
  }
})

t.test(
  'CIMD §4.4: while the host is away, what was known counts an hour more, and nothing is held against the client',
  async (t) => {
    const [first, second] = [makeKey('ES256', 'first'), makeKey('ES256', 'second')]
    const { client, refresh, rotateTo } = await createKeyed(first)
    rotateTo(second)
    documents.meanwhile = away
    server.clock.advance(600)
    t.equal((await refresh(first)).statusCode, 200)
    t.equal(readings(client), 2)
    t.equal((await refresh(second)).statusCode, 503, 'what is not known may be there')
    t.equal(await lastReason(client), 'assertion_outbound_unreachable')
    t.equal(readings(client), 3, 'asked once by each')
    server.clock.advance(3_599)
    t.equal((await refresh(first)).statusCode, 200)
    server.clock.advance(1)
    t.equal((await refresh(first)).statusCode, 503)
    documents.meanwhile = async () => undefined
    t.equal((await refresh(second)).statusCode, 200, 'as soon as it is back')
  },
)

t.test('CIMD §4.4: a document that is none any more is no answer', async (t) => {
  const key = makeKey()
  const { client, refresh } = await createKeyed(key)
  documents.set(client.clientId)
  server.clock.advance(600)
  t.equal((await refresh(key)).statusCode, 200)
  server.clock.advance(3_600)
  t.equal((await refresh(key)).statusCode, 503)
  t.equal(await lastReason(client), 'assertion_client_document_not_200')
})

t.test('attack 95: a network that has used up its time does not keep a key that was taken out', async (t) => {
  const key = makeKey()
  const { client, refresh } = await createKeyed(key)
  server.clock.advance(600)
  const slow = Array.from({ length: 4 }, (_, index) => `https://slow-${index}.example/client.json`)
  for (const url of slow) documents.set(url, documentOf(url))
  let release = (): void => undefined
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  let held = 0
  documents.meanwhile = async () => {
    if (++held < slow.length) return gate
    // So long they all hold a place.
    server.clock.advance(10)
    release()
  }
  await Promise.all(
    slow.map((clientId) => new TestBrowser(server, { ip: '198.51.100.7' }).open(authorizationUrl({ clientId }, asked))),
  )
  documents.meanwhile = away
  t.equal((await refresh(key, '198.51.100.7')).statusCode, 503)
  t.equal(readings(client), 1, 'nobody is asked')
  t.equal((await refresh(key)).statusCode, 200, 'others have theirs')
})

t.test('attack 79: names of keys have a document read every few seconds, and many wait for one reading', async (t) => {
  const [first, other] = [makeKey('ES256', 'first'), makeKey('ES256', 'other')]
  const { client, refresh } = await createKeyed(first)
  const before = readings(client)
  for (let index = 0; index < 10; index++) await refresh(other)
  t.equal(readings(client), before, 'it was read just now')
  server.clock.advance(5)
  const replies = await Promise.all(Array.from({ length: 8 }, () => refresh(other)))
  t.equal(readings(client), before + 1)
  t.ok(replies.every(({ statusCode }) => [401, 503].includes(statusCode)))
  for (let index = 0; index < 30; index++) {
    server.clock.advance(1)
    await refresh(other)
  }
  t.ok(readings(client) <= before + 7, `${readings(client) - before} readings`)
  t.equal((await refresh(first)).statusCode, 200)
})

t.test('attack 79: nor is it read for what proves nobody, or for a client of an administrator', async (t) => {
  const key = makeKey()
  const { client, refresh } = await createKeyed(key)
  server.clock.advance(600)
  const form = { grant_type: 'refresh_token', client_id: client.clientId, refresh_token: 'none' }
  t.match((await server.post('/token', form)).json(), { error: 'invalid_client' })
  t.equal(readings(client), 1)
  t.equal((await refresh(key)).statusCode, 200)
  t.equal(readings(client), 2)

  const clientId = 'https://partner.example/keys.json'

  await registerClient(server.ctx, { client_id: clientId, client_name: 'Partner', ...ofPartner(key) }, registration)
  const other = makeKey('ES256', 'other')
  const proof = await proofOf(server, other, clientId)
  t.equal((await server.post('/token', { grant_type: 'client_credentials', ...proof })).statusCode, 401)
  t.equal(readings({ clientId }), 0)
})

function ofPartner({ jwk }: TestKey) {
  return { grant_types: ['client_credentials'], scope: 'orders', token_endpoint_auth_method, jwks: { keys: [jwk] } }
}
