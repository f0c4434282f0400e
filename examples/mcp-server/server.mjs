// An MCP server whose users decide what their agents may do with it: see ../README.md.

import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { protect } from '@ostiary/resource-server/express'
import express from 'express'

const { ISSUER = 'http://localhost:3000', PORT = '8087', CLIENT_ID, CLIENT_SECRET } = process.env
// Letter by letter what agents are told to connect to: a token for it is good nowhere else.
const { AUDIENCE = `http://localhost:${PORT}/mcp` } = process.env

const app = express()
const api = await protect({
  issuer: ISSUER,
  audience: AUDIENCE,
  // From `ostiary resource create`: with them it hears at once of what is revoked.
  credentials: CLIENT_ID && CLIENT_SECRET ? { clientId: CLIENT_ID, clientSecret: CLIENT_SECRET } : undefined,
  metadata: { resource_name: 'Notes' },
})
// Who has no token finds the server that gives them by this (RFC 9728): an agent needs nothing but our address.
app.use(api.metadata)

/** What one user's agent can do: who it is for says the token, and nothing that the agent sends. */
function notesOf({ sub }) {
  const server = new McpServer({ name: 'notes', version: '1.0.0' })
  server.registerTool('list_notes', { description: 'Lists the notes of the user.' }, async () => ({
    content: [{ type: 'text', text: JSON.stringify({ user: sub, notes: ['Lock the door'] }) }],
  }))
  return server
}

app.post('/mcp', api.scopes('notes:read'), express.json(), async (request, response) => {
  // Each request for itself, with its own token: there is no session that could outlive it.
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined })
  const server = notesOf(request.accessToken)
  response.once('close', () => server.close())
  await server.connect(transport)
  await transport.handleRequest(request, response, request.body)
})
app.all('/mcp', (_request, response) => response.status(405).set('Allow', 'POST').end())

// For whoever watches over it: whether it can check tokens now.
app.get('/health', (_request, response) => {
  const { state, revocation, age } = api.health()
  response.status(state === 'ready' ? 200 : 503).json({ state, revocation, age })
})

const listening = app.listen(Number(PORT), 'localhost', () => console.log(`The MCP server listens at ${AUDIENCE}`))
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    listening.close()
    void api.close()
  })
}
