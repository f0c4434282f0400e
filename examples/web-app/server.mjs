// A web app that people sign in to: see ../README.md.
import Fastify from 'fastify'
import { buildEndSessionUrl, fetchUserInfo } from 'openid-client'
import { accessToken, addSignIn, config } from './sign-in.mjs'

const { PORT = '8080', ORIGIN: origin = `http://localhost:${PORT}` } = process.env
// By https the name says that the cookie is of this very host: no other host of the domain can have set it.
const cookieName = origin.startsWith('https:') ? '__Host-session' : 'web_app_session'
const app = Fastify()
const { sessionOf, end } = await addSignIn(app, { origin, scope: 'openid profile email', cookieName })
app.get('/', async (request, reply) => {
  const session = sessionOf(request)
  if (!session.user) return send(reply, 'A web app', `<p>Nobody is signed in.</p>${signIn}`)
  const { name, email, sub } = await fetchUserInfo(config, await accessToken(session), session.user.sub)
  const signOut = '<form method="post" action="/logout"><button>Sign out</button></form>'
  return send(reply, `Hello, ${escapeHtml(name ?? sub)}`, `<p>${escapeHtml(email)}</p>${signOut}`)
})
// The server ends its session, tells every app of it and sends the browser back. Another site posts without our cookie.
app.post('/logout', async (request, reply) => {
  const { idToken } = sessionOf(request)
  end(request)
  const parameters = { id_token_hint: idToken, post_logout_redirect_uri: `${origin}/` }
  return reply.redirect(idToken ? buildEndSessionUrl(config, parameters).href : '/', 303)
})
app.setErrorHandler(({ error, message }, _, reply) => send(reply.code(400), escapeHtml(error ?? message), signIn))

const signIn = '<a href="/login">Sign in</a>'
const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
const policy = `default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'`
function send(reply, title, content) {
  reply.headers({ 'content-security-policy': policy, 'cache-control': 'no-store' }).type('text/html')
  return reply.send(`<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title>
<style>html { font: 1rem system-ui; max-width: 32rem; margin: 12vh auto }</style><h1>${title}</h1>${content}`)
}
await app.listen({ host: 'localhost', port: Number(PORT) })
console.log(`The web app listens at ${origin}`)
