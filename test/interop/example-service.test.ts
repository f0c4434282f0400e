import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { retryFor } from '../../src/platform/retry.js'
import { createDemoServer, readExample, startApi, startExample } from '../support/examples.js'
import { waitFor } from '../support/process.js'

const atOnce = 8

t.test('examples/service: one token for all, a new one shortly before it ends', async (t) => {
  const server = await createDemoServer(t)
  const service = await startExample(t, server, 'service')
  await service.untilItAnswers(`${service.api}/health`)
  const report = async () => (await fetch(`${service.origin}/report`)).json()
  const issued = async () => (await server.audit('token.issued')).length

  const reports = await Promise.all(Array.from({ length: atOnce }, report))
  t.same(reports, Array(atOnce).fill({ orders: 1, caller: 'service' }))
  t.equal(await issued(), 1, 'of all that asked at once, one fetched it')

  await service.advance(565)
  t.match(await report(), { orders: 1 })
  t.equal(await issued(), 1, '35 s before its end it is used')
  await service.advance(10)
  t.match(await Promise.all([report(), report()]), [{ orders: 1 }, { orders: 1 }])
  t.equal(await issued(), 2, '25 s before its end it is not')
})

t.test('examples/service: a token that the API refuses is replaced once', async (t) => {
  const server = await createDemoServer(t)
  const { port } = await startApi(t, server)
  const service = await startExample(t, server, 'service', port)
  const report = () => fetch(`${service.origin}/report`)
  t.same(await (await report()).json(), { orders: 1, caller: 'service' })
  await waitFor(
    () => /No API was started: .*EADDRINUSE/.test(service.output()),
    20,
    'it started an API beside the one that runs',
  )

  const revoke = readExample('service').commands.at(-1)!
  t.equal(revoke[0], 'revoke')
  await server.ostiary(revoke)
  const reports = await Promise.all(Array.from({ length: atOnce }, async () => (await report()).json()))
  t.same(reports, Array(atOnce).fill({ orders: 1, caller: 'service' }))

  await server.ostiary(['client', 'disable', 'service'])
  const refused = await retryFor(1_000, async () => {
    const answer = await report()
    return answer.status === 502 ? answer.json() : undefined
  })
  t.match(refused, { error: String }, 'within the second')
})

t.test('examples/service: an API that refuses every token is asked twice', async (t) => {
  const server = await createDemoServer(t)
  const tokens: (string | undefined)[] = []
  const api = createServer((request, response) => {
    tokens.push(request.headers.authorization)
    response.writeHead(401).end()
  })
  await new Promise<void>((resolve) => api.listen({ host: 'localhost', port: 0 }, resolve))
  t.teardown(() => {
    api.closeAllConnections()
    api.close()
  })
  const service = await startExample(t, server, 'service', (api.address() as AddressInfo).port)
  const report = await fetch(`${service.origin}/report`)
  t.equal(report.status, 502)
  t.same(await report.json(), { error: 'the API answered 401' })
  t.equal(tokens.length, 2)
  t.not(tokens[0], tokens[1], 'the second time with a new token')
})
