import t from 'tap'
import { createDemoServer, startExample } from '../support/examples.js'
import { skip } from '../support/nginx.js'
import { basicOf } from '../support/server.js'

t.test('examples/api-behind-nginx: whatever callers show, the API sees a token of the gateway', { skip }, async (t) => {
  const server = await createDemoServer(t)
  const { origin, api, untilItAnswers } = await startExample(t, server, 'api-behind-nginx')
  await untilItAnswers(api)
  const service = await server.createService('orders:read')
  const created = ['api-key', 'create', '--owner', service.clientId, '--name', 'Test', '--scope', 'orders:read']
  const { key } = JSON.parse(await server.ostiary([...created, '--json']))
  const form = { grant_type: 'client_credentials' }
  const { access_token: token } = (await server.post('/token', form, { authorization: service.basic })).json()

  const ask = async (headers: Record<string, string>, at = origin) => {
    const answer = await fetch(`${at}/orders`, { headers })
    return answer.ok ? ((await answer.json()) as Record<string, unknown>) : answer.status
  }
  const seen = { orders: [{ id: 1, item: 'A door' }], for: service.clientId }
  t.same(await ask({ authorization: `Bearer ${token}` }), { ...seen, by: 'access_token' })
  t.same(await ask({ 'x-api-key': key }), { ...seen, by: 'api_key' })
  t.same(await ask({ authorization: service.basic }), { ...seen, by: 'basic' })
  t.equal(await ask({}), 401)
  t.equal(await ask({ authorization: basicOf(service.clientId, 'wrong') }), 401)
  const all: Record<string, string>[] = [
    { authorization: `Bearer ${token}` },
    { 'x-api-key': key },
    { authorization: service.basic },
  ]
  for (const headers of all) {
    t.equal(await ask(headers, api), 401, 'past nginx nothing of it is taken')
  }
})
