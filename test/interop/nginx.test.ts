import { writeFile } from 'node:fs/promises'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { askThrough, testBehindFront, testBehindGateway } from '../support/behind-gateway.js'
import { makeCertificate } from '../support/certificate.js'
import { createTestGateway } from '../support/gateways.js'
import { skip, startNginx } from '../support/nginx.js'
import { makeFolder } from '../support/process.js'
import { createRunningServer } from '../support/running-server.js'

const proxy = { start: startNginx, tellsOfSuccess: true, saysAddress: true, away: 503 } as const

t.test('attack 123: an API behind nginx, configured as docs/gateways/nginx.conf says', { skip }, async (t) => {
  const port = await testBehindGateway(t, proxy)
  t.equal((await askThrough(port, {}, '/_gateway')).status, 404, 'it is for nginx alone')
})

t.test('attack 101: nginx in front of the server as well, which appends or writes over', { skip }, (t) =>
  testBehindFront(t, proxy),
)

t.test('RFC 7617 §4: nginx says by what a caller came, and a password is taken by https alone', { skip }, async (t) => {
  const server = await createRunningServer(t)
  const { ctx } = server
  const port = Number(new URL(ctx.config.server.issuer).port)
  const resource = 'https://orders.example'
  await server.createResource(resource, 'read', { acceptsBasic: true })
  const service = await server.createService('read')
  const settings = { resource, scope: ['read'], accept: ['access-token', 'basic'], forwardsAddress: true }
  const { basic } = await createTestGateway(server, 'orders', settings)
  const form = { grant_type: 'client_credentials', scope: 'read' }
  const { access_token } = (await server.post('/token', form, { authorization: service.basic })).json()
  const api = createServer((_, response) => response.end('served'))
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve))
  t.teardown(() => api.close())
  const { port: upstream } = api.address() as AddressInfo

  const folder = await makeFolder(t)
  const subject = {
    name: 'orders.example',
    notBefore: new Date(Date.now() - 1000),
    notAfter: new Date(Date.now() + 3.6e6),
  }
  const { cert, key } = makeCertificate(subject)
  const [certPath, keyPath] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  await Promise.all([writeFile(certPath, cert), writeFile(keyPath, key, { mode: 0o600 })])
  // The callers of this test are on this machine: the field says where they would be.
  const elsewhere = '; set_real_ip_from 127.0.0.1; real_ip_header X-Test-Address'
  const plain = await startNginx(t, port, upstream, basic, elsewhere)
  const overTls = ` ssl; ssl_certificate ${certPath}; ssl_certificate_key ${keyPath}${elsewhere}`
  const secure = await startNginx(t, port, upstream, basic, overTls)

  function ask(scheme: 'http' | 'https', authorization: string, from: string): Promise<number | undefined> {
    const headers = { authorization, 'x-test-address': from, 'x-forwarded-proto': 'https' }
    const at = { host: '127.0.0.1', port: scheme === 'https' ? secure : plain, path: '/orders', headers }
    return new Promise((resolve, reject) => {
      const answered = (reply: IncomingMessage) => resolve(reply.resume().statusCode)
      const request =
        scheme === 'https'
          ? httpsRequest({ ...at, ca: cert, servername: subject.name, checkServerIdentity: () => undefined }, answered)
          : httpRequest(at, answered)
      request.on('error', reject).end()
    })
  }
  t.equal(await ask('https', service.basic, '203.0.113.7'), 200)
  t.equal(await ask('http', service.basic, '203.0.113.7'), 401)
  t.equal(await ask('http', service.basic, '127.0.0.1'), 200, 'on the machine of the gateway')
  t.equal(await ask('http', `Bearer ${access_token}`, '203.0.113.7'), 200, 'a token is the API’s own care')
  t.match(await server.audit('token.refused'), [{ reason: 'transport_insecure', detail: { gateway: 'orders' } }])
})
