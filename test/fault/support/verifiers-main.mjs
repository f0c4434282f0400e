// APIs that the package protects, several in one process, each with a verifier and an address of its own. What the
// environment says is `protect`'s own options for each.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { apiKey, bearer, protect } from '@ostiary/resource-server'

async function open({ takesKeys = false, ...options }) {
  const schemes = takesKeys ? [bearer, apiKey()] : [bearer]
  const api = await protect({ ...options, schemes, warn: () => undefined })
  const server = createServer(async (request, response) => {
    // Both: in the time of one request its knowledge may have become too old, or fresh.
    const before = api.health().state
    const decision = await api.check(request, { scopes: ['read'] })
    const knowledge = { 'knowledge-before': before, 'knowledge-after': api.health().state }
    if (decision.ok) response.writeHead(200, knowledge).end()
    else response.writeHead(decision.status, { ...decision.headers, ...knowledge, reason: decision.reason }).end()
  })
  server.keepAliveTimeout = 600_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}

console.log(
  JSON.stringify(await Promise.all(JSON.parse(process.env.OSTIARY_FAULT_VERIFIERS).map((options) => open(options)))),
)
