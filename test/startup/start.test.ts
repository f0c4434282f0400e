import { execFileSync } from 'node:child_process'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { createTestDatabase } from '../support/database.js'
import { makeFolder, type RunningProcess, startProcess, waitFor, waitUntilReady } from '../support/process.js'
import { freePort } from '../support/running-server.js'
import { basicOf } from '../support/server.js'

const isRoot = process.geteuid?.() === 0

interface Shown {
  readonly clientId: string
  readonly clientSecret: string
}

/** The demo client, as a person reads it off the terminal. */
function shown(server: RunningProcess): Shown | undefined {
  const match = /curl -u '([^:']+):([^']+)'/.exec(server.stdout())
  return match ? { clientId: match[1]!, clientSecret: match[2]! } : undefined
}

async function getToken(address: string, { clientId, clientSecret }: Shown): Promise<Response> {
  return fetch(`${address}/token`, {
    method: 'POST',
    headers: { authorization: basicOf(clientId, clientSecret) },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
  })
}

async function startDemo(
  t: Test,
  cwd: string,
  port: number,
  options: { uid?: number; gid?: number; env?: Record<string, string> } = {},
) {
  const address = `http://localhost:${port}`
  const server = startProcess(t, {
    ...options,
    cwd,
    args: ['start', '--demo'],
    env: { PORT: String(port), ...options.env },
  })
  await waitUntilReady(address, server)
  return { server, address }
}

/** The process id that PostgreSQL wrote down. */
async function postmaster(dataDir: string): Promise<number> {
  const { folder } = await readFile(join(dataDir, 'postgres.json'), 'utf8').then(JSON.parse, () => ({
    folder: join(dataDir, 'postgres'),
  }))
  const file = await readFile(join(folder, 'data/postmaster.pid'), 'utf8')
  return Number(file.split('\n')[0])
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

t.test(
  'the first start shows a person what he needs, the second start keeps it, and SIGTERM ends it cleanly',
  async (t) => {
    const folder = await makeFolder(t)
    const port = await freePort()
    const first = await startDemo(t, folder, port)
    await waitFor(() => shown(first.server) !== undefined, 10, 'nothing was shown')
    const client = shown(first.server)!
    t.match(first.server.stdout(), /Administrator +admin@localhost\.example\n +password +\S{20,}/)
    t.match(first.server.stdout(), `${first.address}/demo`)

    const reply = await getToken(first.address, client)
    t.equal(reply.status, 200)
    t.equal((await fetch(`${first.address}/demo`, { redirect: 'manual' })).status, 303)
    const other = await fetch(`http://[::1]:${port}/healthz`).catch(() => undefined)
    if (other) t.equal(other.status, 200, 'both address families')
    const jwks = await (await fetch(`${first.address}/jwks`)).text()
    t.equal((await stat(join(folder, '.data/master.key'))).mode & 0o777, 0o600)

    const lines = first.server
      .stdout()
      .split('\n')
      .filter((line) => line.startsWith('{'))
    t.ok(lines.length > 0 && lines.every((line) => JSON.parse(line).time), 'without a terminal it logs JSON lines')

    const pid = await postmaster(join(folder, '.data'))
    first.server.child.kill('SIGTERM')
    t.same(await first.server.ended, { code: 0, signal: null })
    t.notOk(isAlive(pid), 'PostgreSQL stopped with it')

    const second = await startDemo(t, folder, port)
    await waitFor(() => second.server.stdout().includes('/demo'), 10, 'nothing was shown')
    t.notMatch(second.server.stdout(), /password/, 'passwords are shown once')
    t.equal((await getToken(second.address, client)).status, 200)
    t.equal(await (await fetch(`${second.address}/jwks`)).text(), jwks)
  },
)

t.test('kill -9 at any moment: it comes up again, with all that was acknowledged, and leaves no orphan', async (t) => {
  const folder = await makeFolder(t)
  const port = await freePort()
  const dataDir = join(folder, '.data')
  const acknowledged: Shown[] = []
  // The moments differ by round; what must hold does not depend on them.
  for (const round of [1, 2, 3]) {
    const { server, address } = await startDemo(t, folder, port)
    const pid = await postmaster(dataDir)
    const create = async (name: string) => {
      const made = startProcess(t, {
        cwd: folder,
        args: ['client', 'create', '--name', name, '--grant-type', 'client_credentials', '--json'],
      })
      const { code } = await made.ended
      if (code !== 0) return
      const { client_id, client_secret } = JSON.parse(made.stdout())
      acknowledged.push({ clientId: client_id, clientSecret: client_secret })
    }
    await create(`before ${round}`)
    const during = create(`during ${round}`)
    server.child.kill('SIGKILL')
    await Promise.all([server.ended, during])
    await waitFor(() => !isAlive(pid), 20, 'an orphan was left behind')
    t.ok(address)
  }
  const { address } = await startDemo(t, folder, port)
  t.ok(acknowledged.length >= 3)
  for (const client of acknowledged) t.equal((await getToken(address, client)).status, 200)
})

t.test('a second server in the same folder is told so, and harms nobody', async (t) => {
  const folder = await makeFolder(t)
  const port = await freePort()
  const { server, address } = await startDemo(t, folder, port)
  const second = startProcess(t, { cwd: folder, args: ['start'], env: { PORT: String(await freePort()) } })
  t.match(await second.ended, { code: 1 })
  t.match(second.stderr(), String(server.child.pid))
  t.equal((await fetch(`${address}/readyz`)).status, 200)
})

t.test('a port that is in use is named', async (t) => {
  const port = await freePort()
  await startDemo(t, await makeFolder(t), port)
  const second = startProcess(t, { cwd: await makeFolder(t), args: ['start'], env: { PORT: String(port) } })
  t.match(await second.ended, { code: 1 })
  t.match(second.stderr(), `Port ${port} is in use`)

  const folder = await makeFolder(t)
  const failed = startProcess(t, {
    cwd: folder,
    args: ['start', '--demo'],
    env: { PORT: String(port), PROCESSES: '2' },
  })
  t.match(await failed.ended, { code: 1 }, 'it does not start again and again')
  t.match(failed.stderr(), `Port ${port} is in use`)
  const { server } = await startDemo(t, folder, await freePort())
  await waitFor(() => shown(server) !== undefined, 10, 'what was never shown is shown now')
})

t.test('a database that cannot be reached is told with the reason and what to check', async (t) => {
  const env = { DATABASE_URL: 'postgresql://ostiary:geheim@127.0.0.1:1/none', PORT: String(await freePort()) }
  const server = startProcess(t, { cwd: await makeFolder(t), env })
  t.match(await server.ended, { code: 1 })
  t.match(server.stderr(), /cannot be reached \(connect ECONNREFUSED 127\.0\.0\.1:1\)\. Check DATABASE_URL/)
  t.notMatch(server.stderr(), 'geheim')
})

t.test('in a folder of mode 0700 that root owns', { skip: isRoot ? false : 'needs root' }, async (t) => {
  const { server, address } = await startDemo(t, await makeFolder(t, 0o700), await freePort())
  await waitFor(() => shown(server) !== undefined, 10, 'nothing was shown')
  t.equal((await getToken(address, shown(server)!)).status, 200)
})

t.test(
  'as another user than root',
  { skip: isRoot ? readableByOthers() : 'root alone can become another user' },
  async (t) => {
    const folder = await makeFolder(t)
    const uid = Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }))
    const gid = Number(execFileSync('id', ['-g', 'nobody'], { encoding: 'utf8' }))
    execFileSync('chown', [`${uid}:${gid}`, folder])
    const { server, address } = await startDemo(t, folder, await freePort(), { uid, gid })
    await waitFor(() => shown(server) !== undefined, 10, 'nothing was shown')
    t.equal((await getToken(address, shown(server)!)).status, 200)
  },
)

/** This checkout may lie where nobody else can read it. */
function readableByOthers(): false | string {
  try {
    const main = fileURLToPath(new URL('../../package.json', import.meta.url))
    execFileSync('setpriv', ['--reuid=nobody', '--clear-groups', 'test', '-r', main], { stdio: 'ignore' })
    return false
  } catch {
    return 'other users cannot read this checkout'
  }
}

t.test('an error of configuration stops it, and all are told at once', async (t) => {
  const folder = await makeFolder(t)
  await writeFile(join(folder, '.env'), 'ISUER=https://id.example\n')
  const server = startProcess(t, { cwd: folder, env: { PORT: 'abc', ACCESS_TOKEN_LIFETIME: '7' } })
  t.match(await server.ended, { code: 1 })
  t.match(server.stderr(), /PORT/)
  t.match(server.stderr(), /ACCESS_TOKEN_LIFETIME/)
  t.match(server.stderr(), /ISUER.*ISSUER/s)

  const open = startProcess(t, { cwd: await makeFolder(t), env: { ISSUER: 'http://id.example.com' } })
  t.match(await open.ended, { code: 1 })
  t.match(open.stderr(), /https/)
})

t.test('a setting that names a tier which there is not stops it, and says how to make one', async (t) => {
  const env = { PORT: '0', DATABASE_URL: (await createTestDatabase(t)).url, RATE_TIER_NETWORK: 'standard' }
  const server = startProcess(t, { cwd: await makeFolder(t), args: ['start'], env })
  t.match(await server.ended, { code: 1 })
  t.match(server.stderr(), /^RATE_TIER_NETWORK names the tier standard, .*ostiary tier create standard /m)
})

t.test('with DATABASE_URL there is no demo, and the first administrator is made by the command line', async (t) => {
  const folder = await makeFolder(t)
  const port = await freePort()
  const env = { PORT: String(port), DATABASE_URL: (await createTestDatabase(t)).url }
  const address = `http://localhost:${port}`
  const server = startProcess(t, { cwd: folder, args: ['start', '--demo'], env })
  await waitUntilReady(address, server)
  t.notMatch(server.stdout(), /password/)
  t.equal((await fetch(`${address}/demo`)).status, 404)
  server.child.kill('SIGTERM')
  t.match(await server.ended, { code: 0 })
})

t.test('HTTPS by certificate files: an https issuer, and no HSTS on loopback', async (t) => {
  const port = await freePort()
  const tls = (name: string) => fileURLToPath(new URL(`../support/tls/${name}`, import.meta.url))
  const env = {
    PORT: String(port),
    TLS_CERT_FILE: tls('cert.pem'),
    TLS_KEY_FILE: tls('key.pem'),
    DATABASE_URL: (await createTestDatabase(t)).url,
  }
  const server = startProcess(t, { cwd: await makeFolder(t), env })
  // A certificate of our own making: the test asks for no other trust than that.
  const agent = new Agent({ rejectUnauthorized: false })
  const ask = (path: string) =>
    new Promise<{ status: number; hsts: unknown; body: string }>((resolve, reject) => {
      request({ host: '127.0.0.1', port, path, agent }, (reply) => {
        let body = ''
        reply.on('data', (chunk) => {
          body += chunk
        })
        reply.on('end', () =>
          resolve({ status: reply.statusCode!, hsts: reply.headers['strict-transport-security'], body }),
        )
      })
        .on('error', reject)
        .end()
    })
  await waitFor(async () => (await ask('/readyz').catch(() => undefined))?.status === 200, 60, server.stderr())
  const { hsts, body } = await ask('/.well-known/oauth-authorization-server')
  t.equal(hsts, undefined, 'on loopback it would concern whatever else runs on this machine')
  t.match(JSON.parse(body), { issuer: `https://localhost:${port}` })
})
