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
  await server.app.ready()
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
    await t.rejects(watch.send(server, { ...wire, url: path }, 'requests'), { message }, path)
  }
  const impatient = new Watch(20)
  await t.rejects(impatient.send(server, { ...wire, url: '/slow' }, 'requests'), { message: /four times in a row/ })
  t.equal(impatient.requests, 4)
  t.equal(impatient.late, 4, 'each of them is counted')
  t.ok(impatient.latest >= 490)

  t.equal((await watch.send(server, { ...wire, url: '/right' }, 'requests'))?.statusCode, 200)
  await watch.send(server, { ...wire, url: '/body', mayRepeat: true }, 'connections')
  t.match(Object.fromEntries(watch.statuses), { 200: 4, 303: 1, 500: 1, 503: 1 })
  t.same(Object.fromEntries(watch.parts), { requests: 6, connections: 1 })
  t.ok(watch.longest > 0)
})

t.test('an answer that is late once is counted, though the next is in time', async (t) => {
  let asked = 0
  const app = fastify()
  app.get('/once', () => new Promise((resolve) => setTimeout(() => resolve('late'), asked++ === 0 ? 700 : 0)))
  app.get('/readyz', () => 'ready')
  await app.ready()
  t.teardown(() => app.close())
  const watch = new Watch(300)
  t.equal((await watch.send({ app }, { ...wire, url: '/once' }, 'requests'))?.statusCode, 200)
  t.equal(watch.late, 1)
  t.ok(watch.latest >= 690)
  t.ok(watch.longest < 300)
})

t.test('what was late is asked for again while nothing else is under way', async (t) => {
  const app = fastify()
  const asked: string[] = []
  let end = (): void => undefined
  app.get('/busy', () => new Promise((resolve) => (end = () => resolve('busy'))))
  app.get('/late', () => {
    asked.push('late')
    // The other one ends only after this was answered late, and before it is asked for again.
    return new Promise((resolve) => setTimeout(() => resolve('late'), asked.length === 1 ? 400 : 0))
  })
  app.get('/new', () => {
    asked.push('new')
    return 'new'
  })
  app.get('/readyz', () => 'ready')
  await app.ready()
  t.teardown(() => app.close())
  const watch = new Watch(300)
  const busy = watch.turns.together(() => watch.ask({ app }, { ...wire, url: '/busy' }, 'requests'))
  const late = watch.send({ app }, { ...wire, url: '/late' }, 'requests')
  while (watch.late === 0) await new Promise((resolve) => setImmediate(resolve))
  const next = watch.send({ app }, { ...wire, url: '/new' }, 'requests')
  t.same(asked, ['late'], 'it waits for who is under way')
  end()
  await Promise.all([busy, late, next])
  t.same(asked, ['late', 'late', 'new'], 'who comes meanwhile comes after it')
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
  t.ok(from([{ kind: 'value', at: 1, value: { of: 'usedRefreshToken' } }]).mayRepeat, 'a retry')
  t.notOk(from([{ kind: 'value', at: 1, value: { of: 'usedRefreshToken', cut: 9 } }]).mayRepeat)
  const another = { kind: 'basic', id: 'another', secret: 'x', encoding: 'form' } as const
  t.notOk(from([{ kind: 'value', at: 1, value: { of: 'usedRefreshToken' } }, another]).mayRepeat, 'by another client')
})
