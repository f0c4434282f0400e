import t from 'tap'
import { setUpDemo } from '../../src/demo/index.js'
import { authenticateByPassword } from '../../src/identity/index.js'
import { basicOf, createTestServer } from '../support/server.js'

t.test('a first start that was killed while it set up the demo is taken over by the next', async (t) => {
  const killed = new Error('killed')
  // As many as it takes: each creation is a transaction of its own.
  for (let survived = 0, complete = false; !complete; survived++) {
    const { ctx, post } = await createTestServer(t, { demo: true })
    let transactions = 0
    const transaction: typeof ctx.db.transaction = async (work) => {
      if (transactions++ === survived) throw killed
      return ctx.db.transaction(work)
    }
    complete = await setUpDemo({ ...ctx, db: { ...ctx.db, transaction } }).then(
      () => true,
      (error) => {
        t.equal(error, killed)
        return false
      },
    )
    if (complete) {
      t.ok(survived >= 5, 'users, API, service and application')
      break
    }

    const accounts = await setUpDemo(ctx)
    t.ok(accounts, `killed after ${survived}`)
    if (!accounts) continue
    const { admin, user, service, api } = accounts
    for (const { email, password } of [admin, user]) {
      t.ok(await authenticateByPassword(ctx, { username: email, password }, {}), `${email} can sign in`)
    }
    const reply = await post(
      '/token',
      { grant_type: 'client_credentials' },
      { authorization: basicOf(service.clientId, service.clientSecret) },
    )
    t.equal(reply.statusCode, 200, 'the service gets a token')
    const asked = await post(
      '/introspect',
      { token: reply.json().access_token },
      { authorization: basicOf(api.clientId, api.clientSecret) },
    )
    t.match(asked.json(), { active: true }, 'and the API may ask what it is worth')
    t.equal(await setUpDemo(ctx), undefined, 'and that is shown once')
  }
})

t.test('the demo comes back to this server, also when that has got another address since', async (t) => {
  const first = await createTestServer(t, { demo: true, env: { PORT: '3000' } })
  t.ok(await setUpDemo(first.ctx))
  const second = await createTestServer(t, { demo: true, env: { PORT: '3001' }, beside: first })
  t.equal(await setUpDemo(second.ctx), undefined)
  const { location = '' } = (await second.get('/demo')).headers
  const reply = await second.get(new URL(String(location)).pathname + new URL(String(location)).search)
  t.equal(reply.statusCode, 303, 'the redirect URI is registered')
  t.match(reply.headers.location, '/interaction/')
})

t.test('the demo can be begun in two tabs and ended in both, each answer once', async (t) => {
  const { ctx, get } = await createTestServer(t, { demo: true })
  await setUpDemo(ctx)
  const cookieOf = (reply: { headers: Readonly<Record<string, unknown>> }): string =>
    /^[^;]*/.exec(String(reply.headers['set-cookie']))?.[0] ?? ''
  const stateOf = (reply: { headers: Readonly<Record<string, unknown>> }): string =>
    new URL(String(reply.headers.location)).searchParams.get('state') ?? ''
  const tabs = [await get('/demo')]
  tabs.push(await get('/demo', { cookie: cookieOf(tabs[0]!) }))

  let cookie = cookieOf(tabs[1]!)
  for (const tab of tabs) {
    const query = new URLSearchParams({ error: 'access_denied', state: stateOf(tab), iss: ctx.config.server.issuer })
    const reply = await get(`/demo/callback?${query}`, { cookie })
    t.match(reply.body, 'The server answered: access_denied.')
    cookie = cookieOf(reply)
    t.match((await get(`/demo/callback?${query}`, { cookie })).body, 'shown before')
  }
})
