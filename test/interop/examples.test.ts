import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { makeFolder, type RunningProcess, startProcess, waitFor, waitUntilReady } from '../support/process.js'
import { freePort } from '../support/running-server.js'
import { basicOf } from '../support/server.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const readme = readFileSync(`${root}examples/README.md`, 'utf8')
const examples = [...readme.matchAll(/^CLIENT_ID=… CLIENT_SECRET=… node (examples\/api-\S+)$/gm)].map(
  ([, path]) => path!,
)
const audience = 'https://orders.example'

/** Seconds from the end of `ostiary revoke` until an API refuses the token. */
const bound = 1

/** What the server prints at its first start. */
interface Printed {
  readonly clientId: string
  readonly clientSecret: string
  /** Starts an API. */
  readonly command: string
}

async function readPrinted(server: RunningProcess): Promise<Printed> {
  let found: Printed | undefined
  const read = (): boolean => {
    const [, clientId, clientSecret] = /curl -u '([^:']+):([^']+)'/.exec(server.stdout()) ?? []
    const [command] = /ISSUER=.*\\\n.*examples\/\S+/.exec(server.stdout()) ?? []
    if (clientId && clientSecret && command) found = { clientId, clientSecret, command }
    return found !== undefined
  }
  await waitFor(read, 10, 'nothing was shown')
  return found!
}

/** Runs it as a person does who copies it from the terminal, and waits until the API can check tokens. */
async function startApi(t: Test, command: string, port: number): Promise<void> {
  const child = spawn('sh', ['-c', `exec env ${command}`], {
    cwd: root,
    env: { PATH: process.env.PATH, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  t.teardown(async () => {
    child.kill()
    await exited
  })
  const isReady = async (): Promise<boolean> => {
    const reply = await fetch(`http://localhost:${port}/health`).catch(() => undefined)
    return reply?.status === 200
  }
  await waitFor(isReady, 60, 'the API was not ready in time')
  t.match(await (await fetch(`http://localhost:${port}/health`)).json(), { state: 'ready', revocation: 'feed' })
}

const mark = 'GET unknown'

/** What was asked of the server so far, by its own log. A request of ours marks the place up to which it is read. */
async function served(address: string, server: RunningProcess): Promise<readonly string[]> {
  const read = (): readonly string[] =>
    server
      .stdout()
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.startsWith('{') && line.includes('"msg":"request"'))
      .map((line) => JSON.parse(line))
      .map(({ method, route }) => `${method} ${route}`)
  const marks = (): number => read().filter((request) => request === mark).length
  const before = marks()
  await fetch(`${address}/nothing`)
  await waitFor(() => marks() > before, 10, 'the server wrote no log')
  return read()
}

t.test('examples/: each API accepts a token, and refuses it within the second after `ostiary revoke`', async (t) => {
  t.equal(examples.length, 2)
  const folder = await makeFolder(t)
  const port = await freePort()
  const address = `http://localhost:${port}`
  // In the file that the commands read, too: a token is known by the issuer that it names, and that has the port in it.
  await writeFile(join(folder, '.env'), `PORT=${port}\n`)
  const server = startProcess(t, { cwd: folder, args: ['start', '--demo'] })
  await waitUntilReady(address, server)
  const { clientId, clientSecret, command } = await readPrinted(server)

  const getToken = async (): Promise<string> => {
    const reply = await fetch(`${address}/token`, {
      method: 'POST',
      headers: { authorization: basicOf(clientId, clientSecret) },
      body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'orders:read' }),
    })
    return JSON.parse(await reply.text()).access_token
  }

  for (const example of examples) {
    await t.test(example, async (t) => {
      t.ok(readFileSync(`${root}${example}`, 'utf8').split('\n').length < 60, 'it is short')
      const apiPort = await freePort()
      await startApi(t, command.replace(/examples\/\S+/, example), apiPort)
      const token = await getToken()
      const ask = (path: string, init: RequestInit = {}) =>
        fetch(`http://localhost:${apiPort}${path}`, { ...init, headers: { authorization: `Bearer ${token}` } })

      const before = await served(address, server)
      t.ok(before.includes('POST /token') && before.includes('GET /jwks'), 'the log says what was asked')
      const since = async () => (await served(address, server)).slice(before.length)
      const accepted = await ask('/orders')
      t.equal(accepted.status, 200)
      t.match(await accepted.json(), { orders: [{ id: 1 }], for: clientId })
      const denied = await ask('/orders', { method: 'POST' })
      t.equal(denied.status, 403)
      t.match(denied.headers.get('www-authenticate'), /error="insufficient_scope".*scope="orders:write"/)
      const replies = await Promise.all(Array.from({ length: 100 }, () => ask('/orders')))
      t.ok(replies.every(({ status }) => status === 200))
      t.same(await since(), [mark], 'without a request to the server')

      const revoke = startProcess(t, { cwd: folder, args: ['revoke', '--token', '-'], stdin: `${token}\n` })
      t.match(await revoke.ended, { code: 0 }, revoke.stderr())
      const isRefused = async (): Promise<boolean> => (await ask('/orders')).status === 401
      await waitFor(isRefused, bound, 'it was accepted past the bound')
      const refused = await ask('/orders')
      t.match(refused.headers.get('www-authenticate'), 'error="invalid_token"')
      t.same(await since(), [mark, mark], 'nor was the server asked for that')

      const stranger = await fetch(`http://localhost:${apiPort}/orders`)
      t.equal(stranger.status, 401)
      const [bearer] = stranger.headers.get('www-authenticate')?.split(/, (?:Basic|Signature) /) ?? []
      t.equal(
        bearer,
        `Bearer scope="orders:read", resource_metadata="${audience}/.well-known/oauth-protected-resource"`,
      )
      const metadata = await fetch(`http://localhost:${apiPort}/.well-known/oauth-protected-resource`)
      t.match(await metadata.json(), { resource: audience, authorization_servers: [address] })
    })
  }
})
