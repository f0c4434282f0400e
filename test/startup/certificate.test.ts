import { writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { connect } from 'node:tls'
import t from 'tap'
import { makeCertificate } from '../support/certificate.js'
import { createTestDatabase } from '../support/database.js'
import { makeFolder, startProcess, waitFor } from '../support/process.js'
import { freePort } from '../support/running-server.js'

const day = 86_400_000

/** Whom a new connection is answered by; undefined where nobody answers. */
function shown(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN))
      socket.destroy()
    })
    socket.on('error', () => resolve(undefined))
  })
}

function ready(host: string, port: number, agent: Agent): Promise<{ status: number | undefined; reused: boolean }> {
  return new Promise((resolve, reject) => {
    const asked = request({ host, port, path: '/readyz', agent, rejectUnauthorized: false }, (reply) => {
      reply.resume()
      reply.on('end', () => resolve({ status: reply.statusCode, reused: asked.reusedSocket }))
    })
    asked.on('error', reject)
    asked.end()
  })
}

// Real time: what is under test is that processes look by themselves, every five seconds.
t.test(
  'a renewed certificate is served by every process, at both addresses, and no connection is dropped',
  async (t) => {
    const folder = await makeFolder(t)
    const port = await freePort()
    const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    const write = (name: string, days: number): void => {
      const now = Date.now()
      const made = makeCertificate({ name, notBefore: new Date(now - day), notAfter: new Date(now + days * day) })
      writeFileSync(certFile, made.cert)
      writeFileSync(keyFile, made.key)
    }
    write('first', 10)
    const server = startProcess(t, {
      cwd: folder,
      env: {
        PORT: String(port),
        PROCESSES: '2',
        DATABASE_URL: (await createTestDatabase(t)).url,
        MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
        TLS_CERT_FILE: certFile,
        TLS_KEY_FILE: keyFile,
      },
    })
    await waitFor(() => server.stdout().includes('"msg":"ready"'), 60, 'it was not ready in time')
    const lines = (): readonly Record<string, unknown>[] =>
      server
        .stdout()
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line))
    const hosts = (await shown('::1', port)) === undefined ? ['127.0.0.1'] : ['127.0.0.1', '::1']
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => agent.destroy())
    for (const host of hosts) t.match(await ready(host, port, agent), { status: 200, reused: false })

    write('second', 90)
    const exchanged = () => lines().filter(({ msg }) => msg === 'a new TLS certificate is in use')
    await waitFor(() => exchanged().length === 2, 60, 'not every process took the new certificate')
    t.equal(new Set(exchanged().map(({ pid }) => pid)).size, 2)
    for (const host of hosts) {
      // Dealt out in turn: both processes answer some of them.
      for (let round = 0; round < 4; round++) t.equal(await shown(host, port), 'second', host)
      t.match(await ready(host, port, agent), { status: 200, reused: true }, 'the connection from before goes on')
    }
    const warnings = lines().filter(({ msg }) => String(msg).startsWith('the TLS certificate expires soon'))
    t.equal(warnings.length, 1, 'that the first one expires is said once, not by each process')
    t.match(warnings[0], { level: 'warn', days: 9, expires: /^20\d\d-/ })
  },
)
