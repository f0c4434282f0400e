// A backend for its frontend: the page has a cookie, and the tokens stay here. See ../README.md.

import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import { tokenRevocation } from 'openid-client'
import { api } from '../api-beside.mjs'
import { accessToken, addSignIn, config } from '../web-app/sign-in.mjs'

const { PORT = '8082', ORIGIN: origin = `http://localhost:${PORT}` } = process.env

const app = Fastify()
const scope = 'openid orders:read orders:write offline_access'
const { sessionOf, end } = await addSignIn(app, { origin, scope, cookieName: '__Host-bff' })

/** Only by CORS could another origin's page send the first; by the second the browser says whose page it is. */
async function ourPageAlone({ headers }, reply) {
  if (headers['x-csrf'] !== '1' || headers['sec-fetch-site'] !== 'same-origin') return reply.code(403).send()
}

app.all('/api/*', { onRequest: ourPageAlone }, async (request, reply) => {
  const session = sessionOf(request)
  const { url, method, body } = request
  if (!session.tokens) return reply.code(401).send()
  // As it was sent: of what the router decoded, such as `/%61pi`, the rest could name another host.
  const target = url.startsWith('/api/') ? new URL(api + url.slice('/api'.length)) : undefined
  if (target?.origin !== new URL(api).origin) return reply.code(404).send()
  const headers = { authorization: `Bearer ${await accessToken(session)}` }
  if (body) headers['content-type'] = 'application/json'
  const answer = await fetch(target, { method, headers, body: body && JSON.stringify(body) })
  reply.code(answer.status).type(answer.headers.get('content-type') ?? 'text/plain')
  return reply.send(await answer.text())
})

app.post('/logout', { onRequest: ourPageAlone }, async (request, reply) => {
  const { tokens } = sessionOf(request)
  end(request)
  // It ends with every access token that came of it.
  if (tokens) await tokenRevocation(config, tokens.refresh_token)
  return reply.code(204).send()
})

// What cannot be refreshed has ended: the page then asks its user to sign in.
app.setErrorHandler(({ error, message, statusCode = 400 }, _request, reply) =>
  reply.code(error === 'invalid_grant' ? 401 : statusCode).send({ error: error ?? message }),
)

const script = readFileSync(new URL('page.js', import.meta.url))
app.get('/page.js', (_request, reply) => reply.type('text/javascript').send(script))
const policy =
  "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'"
const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Orders</title>
<meta name="viewport" content="width=device-width"><style>
  html { font: 1rem/1.5 system-ui; color-scheme: light dark } body { max-width: 32rem; margin: 12vh auto; padding: 0 1.5rem }
  a, button { font: inherit; color: #fff; background: #1f5645; border: 0; border-radius: .4rem; padding: .6rem 1.2rem }
  a { text-decoration: none } input { font: inherit; padding: .5rem; border: 1px solid #85877e; border-radius: .4rem }
</style><h1>Orders</h1><p role="status">…</p><ul></ul>
<form hidden><input name="item" placeholder="A door" aria-label="Item" required> <button>Order</button></form>
<p><a href="/login" hidden>Sign in</a><button id="sign-out" hidden>Sign out</button></p>
<script type="module" src="/page.js"></script>`
app.get('/', (_request, reply) => reply.header('content-security-policy', policy).type('text/html').send(page))

await app.listen({ host: 'localhost', port: Number(PORT) })
console.log(`The backend for its frontend listens at ${origin}`)
