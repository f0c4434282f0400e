import fastify from 'fastify'
import t from 'tap'
import { build, type Plan } from './support/plan.js'
import { marker, type References } from './support/scene.js'
import { Watch } from './support/watch.js'

const secret = (text: string): boolean => text.includes(marker)
const wire = { method: 'GET', url: '/', headers: {}, body: Buffer.alloc(0), from: '192.0.2.1', mayRepeat: false }

/** A server with every fault that the fuzz is there to find. */
function faulty() {
  const app = fastify()
  app.get('/500', (_, reply) => reply.code(500).send({ error: 'server_error' }))
  app.get('/503', (_, reply) => reply.code(503).send({}))
  app.get('/body', () => `you sent ${marker}`)
  app.get('/header', (_, reply) => reply.header('location', `/x?password=${marker}`).code(303).send())
  app.get('/json', (_, reply) => reply.type('application/json').serializer(String).send('{'))
  app.get('/slow', () => new Promise((resolve) => setTimeout(() => resolve('late'), 500)))
  app.get('/right', () => ({ right: true }))
  return { app }
}

t.test('each fault of a server is seen', async (t) => {
  const server = faulty()
  t.teardown(() => server.app.close())
  const watch = new Watch()
  watch.holdsSecret = secret
  for (const [path, message] of Object.entries({
    '/500': /the answer is 500/,
    '/503': /the answer is 503/,
    '/body': /a secret was sent back/,
    '/header': /a secret was sent back/,
    '/json': /JSON/,
  })) {
    await t.rejects(watch.send(server, { ...wire, url: path }), { message }, path)
  }
  const impatient = new Watch(20)
  await t.rejects(impatient.send(server, { ...wire, url: '/slow' }), { message: /four times in a row/ })
  t.equal(impatient.requests, 4)

  t.equal((await watch.send(server, { ...wire, url: '/right' }))?.statusCode, 200)
  await watch.send(server, { ...wire, url: '/body', mayRepeat: true })
  t.match(Object.fromEntries(watch.statuses), { 200: 4, 303: 1, 500: 1, 503: 1 })
  t.ok(watch.longest > 0)
})

t.test('a log line with a secret, one of an error and a rejection are faults', async (t) => {
  const watch = new Watch()
  watch.holdsSecret = secret
  watch.onLog('{"level":"info","msg":"request"}')
  watch.settle()
  watch.onLog(`{"level":"info","msg":"${marker}"}`)
  t.throws(() => watch.settle(), { message: /a secret is in a log line/ })
  watch.onLog('{"level":"error","msg":"request failed"}')
  t.throws(() => watch.settle(), { message: /an error was logged/ })
  watch.settle()
})

t.test('a plan becomes the request that it says', async (t) => {
  const references = new Proxy({} as References, { get: (_, name) => `the ${String(name)}` })
  const from = (mutations: Plan['mutations']) => {
    const { body, ...rest } = build({ recipe: 'refresh', mutations, strict: false }, references, secret)
    return { ...rest, body: body.toString('latin1') }
  }
  const right = from([])
  t.match(right, { method: 'POST', url: '/token', mayRepeat: false })
  t.equal(right.body, 'grant_type=refresh_token&refresh_token=the%20refreshToken')
  t.equal(
    Buffer.from(right.headers['authorization']?.slice(6) ?? '', 'base64').toString(),
    'the%20clientId:the%20clientSecret',
  )

  t.equal(from([{ kind: 'drop', at: 3 }]).body, 'grant_type=refresh_token')
  t.match(from([{ kind: 'to the query', at: 0 }]).url, '/token?grant_type=refresh_token')
  t.match(from([{ kind: 'value', at: 1, value: 'x' }]).body, `refresh_token=${marker}x`, 'what is made up is marked')
  t.match(
    from([
      { kind: 'value', at: 0, value: '\ud800é' },
      { kind: 'encode', at: 0, encoding: 'form' },
    ]).body,
    '%ED%A0%80%C3%A9',
  )
  t.match(from([{ kind: 'encode', at: 0, encoding: 'overlong' }]).body, '%C1%B2%C1%A5', 'two bytes for each')
  t.match(from([{ kind: 'value', at: 1, value: { of: 'code', flipped: [1], cut: 5 } }]).body, 'refresh_token=vhe%20c')
  t.ok(from([{ kind: 'add', parameter: { name: 'state', value: marker, encoding: 'form' } }]).mayRepeat)
})
