import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import type { Test } from 'tap'
import { listen } from '../../src/http/index.js'
import { scheme } from './own-tls.js'
import { createTestServer, type TestServer, type TestServerOptions } from './server.js'

/** A server that listens at its issuer's address, for clients of their own: independent libraries, browsers. */
export async function createRunningServer(t: Test, options: TestServerOptions = {}): Promise<TestServer> {
  const port = await freePort()
  const server = await createTestServer(t, {
    ...options,
    now: new Date(),
    env: { PORT: String(port), ...scheme, ...options.env },
  })
  const stop = await listen(server.app, server.ctx)
  t.teardown(stop)
  return server
}

export async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen({ host: '127.0.0.1', port: 0 }, resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}
