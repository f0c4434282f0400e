import { createServer } from 'node:https'
import { type ConnectionOptions, connect } from 'node:tls'
import t from 'tap'
import { tlsOptions } from '../../src/platform/tls.js'

const folder = new URL('../support/tls/', import.meta.url).pathname

/** Serves HTTPS with our options, and says what a client of such abilities agreed on. */
async function handshakes(t: { teardown(close: () => unknown): void }) {
  const server = createServer(
    tlsOptions({ certFile: `${folder}cert.pem`, keyFile: `${folder}key.pem` }),
    (_request, response) => response.end(),
  )
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0

  return (options: ConnectionOptions) =>
    new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options }, () => {
        resolve(`${socket.getProtocol()} ${socket.getCipher().standardName}`)
        socket.destroy()
      })
      socket.on('error', (error) => resolve(`refused: ${'code' in error ? error.code : error.message}`))
    })
}

/** OpenSSL speaks old versions only when security is turned off on the client's side. */
const OLD = 'DEFAULT:@SECLEVEL=0'

t.test('OAuth 2.1 §1.5, RFC 9325 §3.1.1: TLS 1.3 and 1.2 are spoken, 1.1 and 1.0 are refused', async (t) => {
  const handshake = await handshakes(t)
  t.match(await handshake({}), /^TLSv1\.3 TLS_/)
  t.match(await handshake({ maxVersion: 'TLSv1.2' }), /^TLSv1\.2 TLS_ECDHE_ECDSA_WITH_(AES|CHACHA20)/)
  for (const version of ['TLSv1.1', 'TLSv1'] as const) {
    t.match(
      await handshake({ minVersion: version, maxVersion: version, ciphers: OLD }),
      /^refused: ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION/,
      version,
    )
  }
})

t.test('RFC 9325 §4.2: of TLS 1.2 only ECDHE with authenticated encryption', async (t) => {
  const handshake = await handshakes(t)
  const offer = (ciphers: string) => handshake({ maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` })

  for (const suite of [
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
  ]) {
    t.match(await offer(suite), /^TLSv1\.2 /, suite)
  }
  for (const suite of [
    'ECDHE-ECDSA-AES128-SHA256',
    'ECDHE-ECDSA-AES256-SHA384',
    'ECDHE-ECDSA-AES128-SHA',
    'ECDHE-ECDSA-AES256-SHA',
    'ECDHE-ECDSA-AES128-CCM8',
    'ECDHE-ECDSA-NULL-SHA',
    'AES128-GCM-SHA256',
    'DHE-RSA-AES128-GCM-SHA256',
  ]) {
    t.match(await offer(suite), /^refused: ERR_SSL_SS/, suite)
  }
})

t.test('RFC 7301: HTTP/1.1 is what is spoken inside', async (t) => {
  const server = tlsOptions({ certFile: `${folder}cert.pem`, keyFile: `${folder}key.pem` })
  t.same(server.ALPNProtocols, ['http/1.1'])
})
