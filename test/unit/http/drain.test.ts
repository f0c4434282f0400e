import { Agent, createServer, type ServerResponse, request as send } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { prepareDrain } from '../../../src/http/drain.js'
import { createNodeServer, mostPipelined } from '../../../src/http/node-server.js'

t.test(
  'RFC 9112 §9.6: an answer that is under way when the server stops says that the connection closes',
  async (t) => {
    const held: ServerResponse[] = []
    let arrived = () => {}
    const server = createServer((request, response) => {
      if (request.url === '/now') return void response.end()
      held.push(response)
      arrived()
    })
    const drain = prepareDrain(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => agent.destroy())
    const ask = (path: string) =>
      new Promise<string | undefined>((resolve, reject) => {
        const sending = send({ host: '127.0.0.1', port, path, agent }, (answer) => {
          answer.resume().once('end', () => resolve(answer.headers.connection))
        })
        sending.once('error', reject).end()
      })

    t.equal(await ask('/now'), 'keep-alive')
    const met = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const answer = ask('/held')
    await met
    const over = drain()
    // As the direct answers write their head.
    for (const response of held) response.writeHead(200, ['Content-Length', '0']).end()
    t.equal(await answer, 'close')
    await over
  },
)

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Whether any is left, after turns of the event loop in which what still waits to be told of its end lets it go. */
async function areHeld(answers: readonly WeakRef<ServerResponse>[]): Promise<boolean> {
  const isHeld = () => answers.some((answer) => answer.deref() !== undefined)
  for (let turn = 0; turn < 100 && isHeld(); turn++) {
    await new Promise(setImmediate)
    collect()
  }
  return isHeld()
}

t.test('An answer that was given is held no longer, though its connection stays open', async (t) => {
  const answers: WeakRef<ServerResponse>[] = []
  const server = createServer((_, response) => {
    answers.push(new WeakRef(response))
    response.end()
  })
  const drain = prepareDrain(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  await new Promise((resolve) => {
    send({ host: '127.0.0.1', port, agent }, (answer) => answer.resume().once('end', resolve)).end()
  })
  t.equal(answers.length, 1)
  t.notOk(await areHeld(answers))
  await drain()
})

t.test('Answers that waited behind another are held no longer than their connection', async (t) => {
  const answers: WeakRef<ServerResponse>[] = []
  let arrived = () => {}
  const met = new Promise<void>((resolve) => {
    arrived = resolve
  })
  // The first is never given: so the others never have a connection, and are never told that theirs is closed.
  const server = createNodeServer(
    (request, response) => {
      answers.push(new WeakRef(response))
      if (request.url !== '/0') response.end()
      if (answers.length === mostPipelined) arrived()
    },
    { tls: undefined, maxConnections: 10 },
  )
  const drain = prepareDrain(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const closed = new Promise((resolve) => server.once('connection', (socket) => socket.once('close', resolve)))
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const requests = Array.from({ length: mostPipelined }, (_, index) => `GET /${index} HTTP/1.1\r\nHost: a\r\n\r\n`)
  socket.write(requests.join(''))
  await met
  socket.resetAndDestroy()
  await closed
  t.equal(answers.length, mostPipelined)
  t.notOk(await areHeld(answers))
  await drain()
})
