// An API that believes nobody but the gateway in front of it, and nginx as that gateway: see ../README.md.

import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { protect } from '@ostiary/resource-server/node'
import { startNginx } from './nginx.mjs'

const { ISSUER = 'http://localhost:3000', AUDIENCE = 'https://orders.example' } = process.env
const { PORT = '8085', API_PORT = '8086', GATEWAY_ID, GATEWAY_SECRET } = process.env

const api = await protect({ issuer: ISSUER, audience: AUDIENCE, tokens: 'gateway' })
// The gateway requires the scope already. Whoever reaches this port past it shows nothing that is taken here.
const guard = api.scopes('orders:read')

createServer(async (request, response) => {
  const token = await guard(request, response) // or it has answered by itself
  if (!token) return
  const answer = { orders: [{ id: 1, item: 'A door' }], for: token.sub, by: token.claims.credential }
  response.writeHead(200, { 'content-type': 'application/json' }).end(`${JSON.stringify(answer)}\n`)
}).listen(Number(API_PORT), '127.0.0.1')

const folder = mkdtempSync(join(tmpdir(), 'api-behind-nginx-'))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit())
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

const gateway = await startNginx({
  folder,
  server: new URL(ISSUER).host,
  api: `127.0.0.1:${API_PORT}`,
  listen: `127.0.0.1:${PORT}`,
  // RFC 6749 §2.3.1; neither has a character that would have to be encoded.
  credential: `Basic ${btoa(`${GATEWAY_ID}:${GATEWAY_SECRET}`)}`,
})
process.once('exit', () => gateway.kill())
gateway.stderr.pipe(process.stderr)
gateway.once('exit', () => process.exit(1))
console.log(`The API is at http://localhost:${PORT}/orders, behind nginx`)
