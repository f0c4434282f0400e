// People sign in to a Fastify app by OpenID Connect, and are signed out where their session at the server ends.
import { randomUUID } from 'node:crypto'
import cookie from '@fastify/cookie'
import formbody from '@fastify/formbody'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as client from 'openid-client'

const { ISSUER: issuer = 'http://localhost:3000', CLIENT_ID: id, CLIENT_SECRET: secret } = process.env
// Plain http is for a server on your own machine. The signatures of its ID tokens are checked in any case.
const http = issuer.startsWith('http:') ? [client.allowInsecureRequests] : []
const options = { execute: [...http, client.enableNonRepudiationChecks] }
export const config = await client.discovery(new URL(issuer), id, secret, client.ClientSecretBasic(secret), options)
const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri))
/** By the cookie: the login that a browser began, or who signed in. Yours are in a database, and end by themselves. */
const sessions = new Map()
/** Half a minute before it ends it is refreshed, by one of all who ask at once: a refresh token is good once. */
export async function accessToken(session) {
  if (session.tokens.expiresIn() > 30) return session.tokens.access_token
  const refresh = () => client.refreshTokenGrant(config, session.tokens.refresh_token)
  session.refreshing ??= refresh().finally(() => delete session.refreshing)
  return Object.assign(session, { tokens: await session.refreshing }).tokens.access_token
}

/** Adds /login, /callback and /backchannel-logout. @returns what finds and ends a request's session */
export async function addSignIn(app, { origin, scope, cookieName }) {
  await app.register(cookie).register(formbody)
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
    const [state, nonce, verifier] = [client.randomState(), client.randomNonce(), client.randomPKCECodeVerifier()]
    const code_challenge = await client.calculatePKCECodeChallenge(verifier)
    const proofs = { state, nonce, code_challenge, code_challenge_method: 'S256' }
    const location = client.buildAuthorizationUrl(config, { redirect_uri: `${origin}/callback`, scope, ...proofs })
    const login = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce }
    return begin({ login }, request, reply).redirect(location.href, 303)
  })
  app.get('/callback', async (request, reply) => {
    const { login } = sessionOf(request)
    if (!login) throw new Error('this browser has begun no login, or has ended it')
    // Checks state, iss and nonce, and proves by the verifier that the code was meant for this browser.
    const tokens = await client.authorizationCodeGrant(config, new URL(request.url, origin), login)
    return begin({ user: tokens.claims(), idToken: tokens.id_token, tokens }, request, reply).redirect('/', 303)
  })
  // A session at the server has ended, or all of a user. Back-Channel Logout §2.6.
  app.post('/backchannel-logout', async ({ body }, reply) => {
    const demands = { issuer, audience: id, typ: 'logout+jwt', requiredClaims: ['exp', 'jti', 'sub', 'events'] }
    const { payload } = await jwtVerify(String(body?.logout_token), keys, demands)
    if (!payload.events['http://schemas.openid.net/event/backchannel-logout']) throw new Error('it is no logout')
    const isOver = (user) => (payload.sid ? payload.sid === user?.sid : payload.sub === user?.sub)
    for (const [key, { user }] of sessions) if (isOver(user)) sessions.delete(key)
    return reply.header('cache-control', 'no-store').send()
  })
  return { sessionOf, end }
}
