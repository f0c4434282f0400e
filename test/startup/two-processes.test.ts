import { Agent, request } from 'node:http'
import t, { type Test } from 'tap'
import { issueCode } from '../support/grants.js'
import { makeFolder, type RunningProcess, startProcess, waitFor, waitUntilReady } from '../support/process.js'
import { freePort } from '../support/running-server.js'
import { createTestServer, encodeForm, sql } from '../support/server.js'

const api = 'https://api.example.com'

/** `npm start` with PROCESSES=2, and a third process, the test's own, on the same database. */
async function startTwo(t: Test) {
  const port = await freePort()
  const here = await createTestServer(t, { now: new Date(), env: { PORT: String(port) } })
  const resource = await here.createResource(api, 'read')
  const client = await here.createClient({ grant_types: ['authorization_code', 'refresh_token'], scope: 'read' })
  const user = await here.createUser()
  const address = `http://localhost:${port}`
  const server = startProcess(t, {
    cwd: await makeFolder(t),
    env: {
      PORT: String(port),
      PROCESSES: '2',
      DATABASE_URL: here.databaseUrl,
      MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
    },
  })
  await waitUntilReady(address, server)
  // One process answers as soon as it can. This line is written when both do.
  await waitFor(() => server.stdout().includes('"msg":"ready"'), 60, 'the second process was not ready in time')
  return { here, resource, client, user, port, server }
}

interface Reply {
  readonly status: number
  readonly body: string
}

/** Each on a connection of its own: the connections are dealt out to the processes in turn. */
function post(
  port: number,
  path: string,
  form: Readonly<Record<string, string>>,
  authorization: string,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const body = encodeForm(form)
    const headers = {
      authorization,
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': Buffer.byteLength(body),
    }
    request({ host: '127.0.0.1', port, path, method: 'POST', headers, agent: new Agent() }, (reply) => {
      let text = ''
      reply.on('data', (chunk) => {
        text += chunk
      })
      reply.on('end', () => resolve({ status: reply.statusCode!, body: text }))
    })
      .on('error', reject)
      .end(body)
  })
}

/** By their log lines, which may arrive after the answers. */
async function bothServed(server: RunningProcess): Promise<void> {
  const processesThatServed = (): number => {
    const lines = server.stdout().split('\n').slice(0, -1)
    return new Set(lines.filter((line) => line.includes('"route":"/token"')).map((line) => JSON.parse(line).pid)).size
  }
  await waitFor(() => processesThatServed() === 2, 10, 'only one process answered')
}

t.test('RFC 6749 §4.1.2: of 200 redemptions of one code at two processes one succeeds', async (t) => {
  const { here, resource, client, user, port, server } = await startTwo(t)
  const code = await issueCode(here, client, user.id, { scope: ['read'], resources: [api] })
  const replies = await Promise.all(Array.from({ length: 200 }, () => post(port, '/token', code.form, client.basic)))

  const won = replies.filter(({ status }) => status === 200)
  t.equal(won.length, 1)
  t.ok(
    replies.every(
      ({ status, body }) => status === 200 || (status === 400 && JSON.parse(body).error === 'invalid_grant'),
    ),
  )
  await bothServed(server)
  t.equal((await sql(here, 'SELECT 1 FROM refresh_token')).length, 1)
  // The others were right in every part: the code was in two hands, and what it gave is ended.
  const token = JSON.parse(won[0]!.body).access_token
  t.same(JSON.parse((await post(port, '/introspect', { token }, resource.basic)).body), { active: false })
})

t.test('200 refreshes of one token at two processes get one answer', async (t) => {
  const { here, resource, client, user, port, server } = await startTwo(t)
  const code = await issueCode(here, client, user.id, { scope: ['read'], resources: [api] })
  const first = JSON.parse((await post(port, '/token', code.form, client.basic)).body)
  const form = { grant_type: 'refresh_token', refresh_token: first.refresh_token }
  const replies = await Promise.all(Array.from({ length: 200 }, () => post(port, '/token', form, client.basic)))

  t.ok(replies.every(({ status }) => status === 200))
  t.equal(new Set(replies.map(({ body }) => body)).size, 1)
  await bothServed(server)
  t.equal((await sql(here, 'SELECT 1 FROM refresh_token')).length, 2, 'one successor')
  const token = JSON.parse(replies[0]!.body).access_token
  t.match(JSON.parse((await post(port, '/introspect', { token }, resource.basic)).body), { active: true })

  // Ended here, refused there, from the moment that it was answered.
  t.equal((await post(port, '/revoke', { token: first.access_token }, client.basic)).status, 200)
  const asked = await Promise.all(
    Array.from({ length: 20 }, () => post(port, '/introspect', { token: first.access_token }, resource.basic)),
  )
  t.ok(asked.every(({ body }) => body === '{"active":false}'))
})

t.test('200 wrong secrets at two processes: counted together', async (t) => {
  const { client, port } = await startTwo(t)
  const wrong = `Basic ${Buffer.from(`${client.clientId}:wrong`).toString('base64')}`
  const form = { grant_type: 'refresh_token', refresh_token: 'x' }
  const replies = await Promise.all(Array.from({ length: 200 }, () => post(port, '/token', form, wrong)))
  t.equal(replies.filter(({ status }) => status === 401).length, 10, 'FAILURES_PER_CLIENT')
  t.equal(replies.filter(({ status }) => status === 429).length, 190)
})
