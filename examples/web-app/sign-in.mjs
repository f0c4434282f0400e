// People sign in to a Fastify app: the authorization code grant with PKCE, and a session by a cookie.

import { randomUUID } from 'node:crypto'
import cookie from '@fastify/cookie'
import * as client from 'openid-client'

const { ISSUER = 'http://localhost:3000', CLIENT_ID: id, CLIENT_SECRET: secret } = process.env
// Plain http is for a server on your own machine.
const options = { algorithm: 'oauth2', execute: ISSUER.startsWith('http:') ? [client.allowInsecureRequests] : [] }
export const config = await client.discovery(new URL(ISSUER), id, undefined, client.ClientSecretBasic(secret), options)

/** By the cookie: the login that a browser has begun, or who signed in. Yours are in a database, and end by themselves. */
const sessions = new Map()

/** Adds /login and /callback. `open` makes a session of the tokens. @returns what finds and ends a request's session */
export async function addSignIn(app, { origin, scope, cookieName, open }) {
  await app.register(cookie)
  // Not for scripts, and not sent with what other sites post.
  const cookieAttributes = { path: '/', httpOnly: true, sameSite: 'lax', secure: cookieName.startsWith('__Host-') }
  const sessionOf = (request) => sessions.get(request.cookies[cookieName]) ?? {}
  const end = (request) => sessions.delete(request.cookies[cookieName])
  const begin = (session, request, reply) => {
    end(request)
    // Under a new id each time: whoever knew the one of before knows nothing of this session.
    const id = randomUUID()
    sessions.set(id, session)
    return reply.setCookie(cookieName, id, cookieAttributes)
  }
  app.get('/login', async (request, reply) => {
    const login = { pkceCodeVerifier: client.randomPKCECodeVerifier(), expectedState: client.randomState() }
    const location = client.buildAuthorizationUrl(config, {
      redirect_uri: `${origin}/callback`,
      scope,
      state: login.expectedState,
      code_challenge: await client.calculatePKCECodeChallenge(login.pkceCodeVerifier),
      code_challenge_method: 'S256',
    })
    return begin({ login }, request, reply).redirect(location.href, 303)
  })
  app.get('/callback', async (request, reply) => {
    const { login } = sessionOf(request)
    if (!login) throw new Error('this browser has begun no login, or has ended it')
    // Checks state and iss, and proves by the verifier that the code was meant for this browser.
    const tokens = await client.authorizationCodeGrant(config, new URL(request.url, origin), login)
    return begin(await open(tokens), request, reply).redirect('/', 303)
  })
  return { sessionOf, end }
}
