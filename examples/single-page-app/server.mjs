// Serves the page of a single-page app; page.js is the app. See ../README.md.

import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import { api } from '../api-beside.mjs'

const { ISSUER = 'http://localhost:3000', PORT = '8083', CLIENT_ID } = process.env
// No script but ours runs there, and it can talk to these two alone.
const policy = `default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src ${ISSUER} ${api}; frame-ancestors 'none'`
const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Orders</title>
<meta name="viewport" content="width=device-width"><style>
  html { font: 1rem/1.5 system-ui; color-scheme: light dark } body { max-width: 32rem; margin: 12vh auto; padding: 0 1.5rem }
  button { font: inherit; color: #fff; background: #1f5645; border: 0; border-radius: .4rem; padding: .6rem 1.2rem }
</style><body data-issuer="${ISSUER}" data-api="${api}" data-client="${CLIENT_ID}">
<h1>Orders</h1><p role="status">Nobody is signed in.</p><ul></ul>
<p><button>Sign in</button> <button hidden>Reload</button> <button hidden>Sign out</button></p>
<script type="module" src="/page.js"></script>`

const script = readFileSync(new URL('page.js', import.meta.url))

const app = Fastify()
app.get('/page.js', (_request, reply) => reply.type('text/javascript').send(script))
app.get('*', (_request, reply) => reply.type('text/html').header('content-security-policy', policy).send(page))
await app.listen({ host: 'localhost', port: Number(PORT) })
console.log(`The page is at http://localhost:${PORT}`)
