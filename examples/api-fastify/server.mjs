// An API by Fastify that takes the tokens of the server beside it: see README.md.

import { apiKey, basic, bearer, signature } from '@ostiary/resource-server'
import { protect } from '@ostiary/resource-server/fastify'
import Fastify from 'fastify'

const { ISSUER = 'http://localhost:3000', AUDIENCE = 'https://orders.example', PORT = '8081' } = process.env
const { CLIENT_ID, CLIENT_SECRET, ORIGINS = 'http://localhost:8083', LIMIT } = process.env

const app = Fastify({ logger: { level: 'warn' } })
// Of this API, from `ostiary resource create`: with them it hears at once of what is revoked, and can ask about keys.
const credentials = CLIENT_ID && CLIENT_SECRET ? { clientId: CLIENT_ID, clientSecret: CLIENT_SECRET } : undefined
const api = await protect({
  issuer: ISSUER,
  audience: AUDIENCE,
  credentials,
  schemes: credentials ? [bearer, apiKey(), basic(), signature({ origin: `http://localhost:${PORT}` })] : [bearer],
  // A tier, from `ostiary tier create`.
  limits: credentials && LIMIT ? [{ tier: LIMIT, by: 'key' }] : [],
})
app.register(api.plugin)

// The pages of these origins may call it from a browser: with a token, never with a cookie.
app.addHook('onRequest', async ({ method, headers: { origin } }, reply) => {
  reply.header('vary', 'Origin')
  if (!ORIGINS.split(' ').includes(origin)) return
  reply.header('access-control-allow-origin', origin).header('access-control-expose-headers', 'WWW-Authenticate')
  if (method !== 'OPTIONS') return
  return reply.code(204).header('access-control-allow-headers', 'Authorization, Content-Type').send()
})

const orders = [{ id: 1, item: 'A door' }]

app.get('/orders', { onRequest: api.scopes('orders:read') }, async ({ accessToken }) => ({
  orders,
  for: accessToken.sub,
}))

app.post('/orders', { onRequest: api.scopes('orders:write') }, async (request, reply) => {
  const order = { id: orders.length + 1, item: String(request.body?.item ?? '') }
  orders.push(order)
  return reply.code(201).send(order)
})

// For whoever watches over the API: whether it can check tokens now.
app.get('/health', async (_request, reply) => {
  const { state, revocation, age } = api.health()
  return reply.code(state === 'ready' ? 200 : 503).send({ state, revocation, age })
})

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
await app.listen({ host: 'localhost', port: Number(PORT) })
console.log(`The API listens at http://localhost:${PORT}/orders`)
