// A web app that people sign in to: see ../README.md.

import Fastify from 'fastify'
import { tokenIntrospection, tokenRevocation } from 'openid-client'
import { addSignIn, config } from './sign-in.mjs'

const { PORT = '8080', ORIGIN: origin = `http://localhost:${PORT}` } = process.env
// By https the name says that the cookie is of this very host: no other host of the domain can have set it.
const cookieName = origin.startsWith('https:') ? '__Host-session' : 'web_app_session'

/** Introspection says who it is: this server has no ID tokens yet. */
const open = async ({ access_token: token }) => ({ token, user: await tokenIntrospection(config, token) })

const app = Fastify()
const { sessionOf, end } = await addSignIn(app, { origin, scope: 'orders:read', cookieName, open })

app.get('/', async (request, reply) => {
  const { user } = sessionOf(request)
  if (!user?.active) return send(reply, 'A web app', '<p>Nobody is signed in.</p><a href="/login">Sign in</a>')
  const facts = `<dl><dt>Subject<dd>${escapeHtml(user.sub)}<dt>Scope<dd>${escapeHtml(user.scope)}</dl>`
  const signOut = '<form method="post" enctype="text/plain" action="/logout"><button>Sign out</button></form>'
  return send(reply, `Hello, ${escapeHtml(user.name ?? user.sub)}`, facts + signOut)
})

// A page of another site posts without the cookie, and signs nobody out.
app.post('/logout', async (request, reply) => {
  const { token } = sessionOf(request)
  end(request)
  if (token) await tokenRevocation(config, token)
  return reply.redirect('/', 303)
})

app.setErrorHandler(({ error, message }, _request, reply) =>
  send(reply.code(400), 'That did not work', `<p>${escapeHtml(error ?? message)}</p><a href="/">Back</a>`),
)

const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
const policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
function send(reply, title, content) {
  reply.headers({ 'content-security-policy': policy, 'cache-control': 'no-store' }).type('text/html')
  return reply.send(`<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title>
<meta name="viewport" content="width=device-width"><style>
  html { font: 1rem/1.5 system-ui; color-scheme: light dark } body { max-width: 32rem; margin: 12vh auto; padding: 0 1.5rem }
  a, button { font: inherit; color: #fff; background: #1f5645; border: 0; border-radius: .4rem; padding: .6rem 1.2rem }
  a { display: inline-block; text-decoration: none } dd { margin: 0 0 .75rem; font: .9rem monospace }
</style><h1>${title}</h1>${content}`)
}

await app.listen({ host: 'localhost', port: Number(PORT) })
console.log(`The web app listens at ${origin}`)
