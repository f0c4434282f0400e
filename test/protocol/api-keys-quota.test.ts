import t from 'tap'
import { createApiKey, rotateApiKey } from '../../src/api-keys/index.js'
import { atAccount, makeKeyByPage } from '../support/account.js'
import { openKeyScene } from '../support/api-keys.js'
import { createTestServer } from '../support/server.js'

const env = { API_KEY_QUOTA: '3' }
const hour = 3600

t.test('of any number of keys at once an owner makes API_KEY_QUOTA in an hour, over all processes', async (t) => {
  const { server, ada, bob, service, call, tokenOf } = await openKeyScene(t, { env })
  const beside = await createTestServer(t, { beside: server, env })
  const body = { name: 'Test', scope: 'read' }
  const replies = await Promise.all(
    Array.from({ length: 8 }, (_, n) => call('POST', '/api-keys', { token: ada.token, body }, n % 2 ? server : beside)),
  )
  const [made, refused] = [201, 429].map((status) => replies.filter(({ statusCode }) => statusCode === status))
  t.same([made!.length, refused!.length], [3, 5])
  const [reply] = refused!
  t.match(reply!.headers, { 'content-type': /^application\/problem\+json/, 'cache-control': 'no-store' })
  t.equal(reply!.headers['www-authenticate'], undefined, 'nothing is wrong with the token')
  t.match(reply!.json(), { type: 'urn:ostiary:problem:too-many-requests', status: 429, title: 'Too Many Requests' })
  const wait = Number(reply!.headers['retry-after'])
  t.equal(wait, hour / 3)
  t.match(reply!.headers, { 'ratelimit-policy': '"api-keys";q=3;w=3600', ratelimit: '"api-keys";r=0;t=3600' })
  await beside.ctx.audit.flush()
  const counted = (await server.audit('api_key.refused')).map(({ actor, subject, reason, count }) => ({
    ...{ actor, subject, reason, count },
  }))
  t.equal(
    counted.reduce((sum, { count = 1 }) => sum + (count ?? 1), 0),
    5,
  )
  t.match(counted[0], { actor: `user:${ada.id}`, subject: ada.id, reason: 'api_key_quota' })

  for (const { token } of [bob, service]) {
    t.equal((await call('POST', '/api-keys', { token, body })).statusCode, 201, 'others have their own')
  }
  const later = async (seconds: number) => {
    server.clock.advance(seconds)
    const token = await tokenOf(ada.id)
    return (await call('POST', '/api-keys', { token, body })).statusCode
  }
  t.same([await later(wait - 1), await later(1), await later(0)], [429, 201, 429], 'as Retry-After said')
})

t.test('a rotation and a change count as well; whoever has to end a key is never held up', async (t) => {
  const { server, service, call, make } = await openKeyScene(t, { env })
  const { token } = service
  const { id } = await make(token)
  const rotated = await call('POST', `/api-keys/${id}/rotate`, { token })
  t.equal(rotated.statusCode, 201)
  const successor = rotated.json().id
  const rename = (name: string) => call('PATCH', `/api-keys/${successor}`, { token, body: { name } })
  t.equal((await rename('Another')).statusCode, 200)
  t.equal((await rename('Yet another')).statusCode, 429)
  t.equal((await call('POST', `/api-keys/${successor}/rotate`, { token })).statusCode, 429)
  t.equal((await call('GET', `/api-keys/${successor}`, { token })).json().name, 'Another', 'nothing was done')
  for (const each of [id, successor, successor]) {
    t.equal((await call('DELETE', `/api-keys/${each}`, { token })).statusCode, 204)
  }
  t.match(await server.audit('api_key.refused'), [{ clientId: service.clientId, reason: 'api_key_quota', count: 2 }])
})

t.test('what was refused for another reason before is not counted', async (t) => {
  const { ada, bob, call, make } = await openKeyScene(t, { env })
  const { token } = ada
  const { id } = await make(bob.token)
  for (let n = 0; n < 4; n++) {
    t.equal((await call('POST', '/api-keys', { token, body: { name: 'Test' } })).statusCode, 400)
    t.equal((await call('PATCH', `/api-keys/${id}`, { token, body: { name: 'Mine' } })).statusCode, 404)
    t.equal((await call('POST', `/api-keys/${id}/rotate`, { token })).statusCode, 404)
  }
  t.equal((await call('POST', '/api-keys', { token, body: { name: 'Test', scope: 'read' } })).statusCode, 201)
})

t.test('administrators and the command line are not counted', async (t) => {
  const { server, ada, root, make, call } = await openKeyScene(t, { env })
  const owner = { kind: 'user', id: ada.id } as const
  const by = { actor: 'operator' }
  for (let n = 0; n < 4; n++) {
    const { id } = await make(root.token, { owner })
    t.equal((await call('POST', `/api-keys/${id}/rotate`, { token: root.token })).statusCode, 201)
    const { key } = await createApiKey(server.ctx, { owner, name: 'Test', scope: ['read'] }, by)
    await rotateApiKey(server.ctx, key.id, { by })
  }
  await make(ada.token)
})

t.test('the pages count the same, say what to do, and end keys at any time', async (t) => {
  const { server, tokenOf, make } = await openKeyScene(t, { env })
  const person = await server.createUser('eve@example.com')
  const browser = await atAccount(server, person)
  const { id } = await make(await tokenOf(person.id))
  const { id: other } = await make(await tokenOf(person.id))
  t.equal((await makeKeyByPage(browser)).status, 200)

  const refused = await makeKeyByPage(browser)
  t.equal(refused.status, 429)
  t.equal(refused.reply.headers['retry-after'], String(hour / 3))
  t.equal(refused.reply.headers['ratelimit-policy'], '"api-keys";q=3;w=3600')
  t.match(refused.text, /very often in the last hour, so nothing was done.*You can end a key at any time/)
  const submit = async (path: string, fields: Readonly<Record<string, string>>, button: string) =>
    browser.submit(await browser.open(`/account/api-keys/${path}`), fields, { button })
  t.equal((await submit(`${id}/change`, { name: 'Another' }, 'change-key')).status, 429)
  t.equal((await submit(`${id}/rotate`, {}, 'rotate-key')).status, 429)
  t.match((await browser.open(`/account/api-keys/${id}`)).text, /Live/)
  for (const each of [id, other]) t.match((await submit(`${each}/end`, {}, 'end-key')).text, /Ended/i)
})
