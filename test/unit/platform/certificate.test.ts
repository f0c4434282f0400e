import { X509Certificate } from 'node:crypto'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { type CertificateFollowerOptions, followCertificate } from '../../../src/platform/certificate.js'
import { createLogger } from '../../../src/platform/log.js'
import { type TlsFiles, tlsOptions } from '../../../src/platform/tls.js'
import { makeCertificate } from '../../support/certificate.js'
import { TEST_START, TestClock } from '../../support/clock.js'

const day = 86_400_000
const after = (days: number): Date => new Date(TEST_START.getTime() + days * day)
const certificate = (name: string, notAfter = after(90)) => makeCertificate({ name, notBefore: after(-1), notAfter })

function makeFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'ostiary-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function write({ certFile, keyFile }: TlsFiles, { cert, key }: { readonly cert: string; readonly key: string }): void {
  writeFileSync(certFile, cert)
  writeFileSync(keyFile, key)
}

/** A follower of these files, and what it says. */
function follow(t: Test, files: TlsFiles, options: Partial<CertificateFollowerOptions> = {}) {
  const lines: Record<string, unknown>[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const clock = new TestClock()
  const follower = followCertificate({
    files,
    clock,
    log: createLogger({ level: 'debug', pretty: false, destination }),
    servers: [],
    warns: false,
    ...options,
  })
  t.teardown(follower.stop)
  return { follower, clock, said: () => lines.splice(0).map(({ level, msg, days }) => ({ level, msg, days })) }
}

/** An HTTPS server that serves what the files hold, and what a new connection is shown. */
async function serve(t: Test, files: TlsFiles) {
  const server = createServer(tlsOptions(files), (_request, response) => response.end('here'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const open = () =>
    new Promise<TLSSocket>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => resolve(socket))
      socket.on('error', reject)
    })
  const shown = async (): Promise<string> => {
    const socket = await open()
    const { subject } = socket.getPeerCertificate()
    socket.destroy()
    return String(subject.CN)
  }
  return { server, open, shown }
}

/** One request on an open connection. */
function ask(socket: TLSSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once('data', (data) => resolve(data.toString()))
    socket.once('close', () => reject(new Error('closed')))
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  })
}

const inUse = { level: 'info', msg: 'a new TLS certificate is in use' }
const refused = { level: 'warn', msg: /cannot be used: the one before stays/ }

t.test('the certificates of the tests are ones', async (t) => {
  const made = new X509Certificate(certificate('x').cert)
  t.equal(made.subject, 'CN=x')
  t.equal(new Date(made.validTo).getTime(), after(90).getTime())
  t.equal(made.verify(made.publicKey), true)
})

t.test('a certificate that changes is used for new connections, and an open one goes on', async (t) => {
  const folder = makeFolder(t)
  const files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') }
  write(files, certificate('first'))
  const { server, open, shown } = await serve(t, files)
  const { follower, said } = follow(t, files, { servers: [server] })
  await follower.look()
  t.same(said(), [], 'nothing changed')
  const socket = await open()
  t.match(await ask(socket), /here/)

  write(files, certificate('second'))
  await follower.look()
  t.equal(await shown(), 'first', 'it may not be whole yet')
  await follower.look()
  t.equal(await shown(), 'second')
  t.match(said(), [inUse])
  t.match(await ask(socket), /here/)
  t.equal(socket.getPeerCertificate().subject.CN, 'first')
  socket.destroy()
  await follower.look()
  t.same(said(), [])
})

t.test('RFC 9325 still holds for what was exchanged: no TLS 1.1 and no CBC', async (t) => {
  const folder = makeFolder(t)
  const files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') }
  write(files, certificate('first'))
  const { server, shown } = await serve(t, files)
  const { follower } = follow(t, files, { servers: [server] })
  write(files, certificate('second'))
  await follower.look()
  await follower.look()
  t.equal(await shown(), 'second')
  server.on('tlsClientError', () => undefined)
  const { port } = server.address() as AddressInfo
  for (const old of [
    { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' },
    { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0' },
  ] as const) {
    const outcome = await new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...old }, () => {
        socket.destroy()
        resolve('spoken')
      })
      socket.on('error', () => resolve('refused'))
    })
    t.equal(outcome, 'refused', old.ciphers)
  }
})

t.test('a half-written pair is refused and tried again: the old one stays', async (t) => {
  const folder = makeFolder(t)
  const files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') }
  const [first, second] = [certificate('first'), certificate('second')]
  write(files, first)
  const { server, shown } = await serve(t, files)
  const { follower, said } = follow(t, files, { servers: [server] })

  const halves: readonly (() => void)[] = [
    () => writeFileSync(files.certFile, second.cert),
    () => writeFileSync(files.certFile, second.cert.slice(0, 200)),
    () => writeFileSync(files.certFile, ''),
    () => write(files, { cert: second.cert, key: second.key.slice(0, 60) }),
    () => unlinkSync(files.keyFile),
  ]
  for (const half of halves) {
    half()
    for (let look = 0; look < 3; look++) await follower.look()
    t.equal(await shown(), 'first')
    t.match(said(), [refused], 'said once, not at each look')
  }
  write(files, second)
  await follower.look()
  await follower.look()
  t.equal(await shown(), 'second')
  t.match(said(), [inUse])
})

t.test('a pair that changes between two looks is not used before it stands still', async (t) => {
  const folder = makeFolder(t)
  const files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') }
  write(files, certificate('first'))
  const { server, shown } = await serve(t, files)
  const { follower } = follow(t, files, { servers: [server] })
  const [leaf, whole] = [certificate('second'), certificate('an intermediate')]
  write(files, leaf)
  await follower.look()
  write(files, { cert: `${leaf.cert}${whole.cert}`, key: leaf.key })
  await follower.look()
  t.equal(await shown(), 'first')
  await follower.look()
  t.equal(await shown(), 'second')
})

t.test('symbolic links that are exchanged are seen: certbot’s, and the folder of a Kubernetes secret', async (t) => {
  const folder = makeFolder(t)
  const put = (name: string): void => {
    mkdirSync(join(folder, name))
    const files = { certFile: join(folder, name, 'tls.crt'), keyFile: join(folder, name, 'tls.key') }
    write(files, certificate(name))
    symlinkSync(name, join(folder, '..data.new'))
    renameSync(join(folder, '..data.new'), join(folder, '..data'))
  }
  put('first')
  const files = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') }
  symlinkSync('..data/tls.crt', files.certFile)
  symlinkSync('..data/tls.key', files.keyFile)
  const { server, shown } = await serve(t, files)
  const { follower } = follow(t, files, { servers: [server] })
  put('second')
  rmSync(join(folder, 'first'), { recursive: true })
  await follower.look()
  await follower.look()
  t.equal(await shown(), 'second')
})

t.test('it warns 14 days before the end, once a day, and when it is over', async (t) => {
  const folder = makeFolder(t)
  const files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') }
  write(files, certificate('first', after(15)))
  const { follower, clock, said } = follow(t, files, { warns: true })
  const soon = (days: number) => ({ level: 'warn', msg: /expires soon: renew it/, days })
  const past = { level: 'warn', msg: /has expired, and clients refuse it: renew it/, days: 0 }

  t.same(said(), [])
  clock.advance(86_399)
  await follower.look()
  t.same(said(), [])
  clock.advance(1)
  await follower.look()
  t.match(said(), [soon(14)])
  clock.advance(3600)
  await follower.look()
  t.same(said(), [])
  clock.advance(86_400 - 3600)
  await follower.look()
  t.match(said(), [soon(13)])
  clock.advance(13 * 86_400)
  await follower.look()
  t.match(said(), [past])

  write(files, certificate('second', after(20)))
  await follower.look()
  await follower.look()
  t.match(said(), [soon(5)], 'a new one is looked at at once; nothing is said of an exchange that nobody serves')
})

t.test('it warns at the start, with the date', async (t) => {
  const folder = makeFolder(t)
  const files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') }
  for (const [days, msg] of [
    [-0.5, /has expired/],
    [3, /expires soon/],
  ] as const) {
    write(files, certificate('x', after(days)))
    t.match(follow(t, files, { warns: true }).said(), [{ level: 'warn', msg }])
    t.same(follow(t, files, { warns: false }).said(), [], 'one process of several says it')
  }
})
