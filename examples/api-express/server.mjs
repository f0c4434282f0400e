// An API by Express that takes the tokens of the server beside it: see README.md.

import { protect } from '@ostiary/resource-server/express'
import express from 'express'

const { ISSUER = 'http://localhost:3000', AUDIENCE = 'https://orders.example', PORT = '8081' } = process.env
const { CLIENT_ID, CLIENT_SECRET } = process.env

const app = express()
const api = await protect({
  issuer: ISSUER,
  audience: AUDIENCE,
  // Of this API, from `ostiary resource create`: with them it hears at once of what is revoked.
  credentials: CLIENT_ID && CLIENT_SECRET ? { clientId: CLIENT_ID, clientSecret: CLIENT_SECRET } : undefined,
})
app.use(api.metadata)

const orders = [{ id: 1, item: 'A door' }]

app.get('/orders', api.scopes('orders:read'), (request, response) => {
  response.json({ orders, for: request.accessToken.sub })
})

// Who may write is known before the body is read.
app.post('/orders', api.scopes('orders:write'), express.json(), (request, response) => {
  const order = { id: orders.length + 1, item: String(request.body?.item ?? '') }
  orders.push(order)
  response.status(201).json(order)
})

// For whoever watches over the API: whether it can check tokens now.
app.get('/health', (_request, response) => {
  const { state, revocation, age } = api.health()
  response.status(state === 'ready' ? 200 : 503).json({ state, revocation, age })
})

const server = app.listen(Number(PORT), 'localhost', () => {
  console.log(`The API listens at http://localhost:${PORT}/orders`)
})
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server.close()
    void api.close()
  })
}
