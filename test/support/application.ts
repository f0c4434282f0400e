import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** An application of the test's own, by its address: another site than the server's, which is `localhost`. */
export async function serve(t: Test, handler: RequestListener, port = 0): Promise<string> {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port }, resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
