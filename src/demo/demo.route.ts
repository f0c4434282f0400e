import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import type { Context } from '../context.js'
import { clearCookie, encodedQuery, PageError, readCookie, seeOther, sendPage, writeCookie } from '../http/index.js'
import { readParameters } from '../oauth/index.js'
import { sha256, timingSafeEqual } from '../platform/crypto/hash.js'
import type { TokenResponse } from '../tokens/index.js'
import { DemoPage } from './demo.page.js'
import { demoClientId } from './set-up.js'

/**
 * A client like any other: it sends the browser to /authorize with PKCE, and exchanges the code at /token. What it keeps
 * between the two lies in a cookie of its own.
 */
export function demoRoutes(app: FastifyInstance, ctx: Context): void {
  const { issuer } = ctx.config.server
  const redirectUri = `${issuer}/demo/callback`
  const startAgain = (message: string, reason: string): PageError =>
    new PageError(message, { reason, actions: [{ href: `${issuer}/demo`, label: 'Start the demo login' }] })

  app.get('/demo', async (request, reply) => {
    const state = ctx.random.bytes(16).toString('base64url')
    const verifier = ctx.random.bytes(32).toString('base64url')
    const pending = [{ state, verifier }, ...readPending(request)].slice(0, mostPending)
    writePending(reply, pending)
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: demoClientId,
      redirect_uri: redirectUri,
      scope: 'openid orders:read orders:write offline_access',
      state,
      code_challenge: sha256(verifier).toString('base64url'),
      code_challenge_method: 'S256',
      login_hint: 'demo@localhost.example',
    })
    return seeOther(reply, `${issuer}/authorize?${query}`)
  })

  app.get('/demo/callback', async (request, reply) => {
    const { code, state, iss, error } = readParameters(encodedQuery(request))
    const pending = readPending(request)
    const begun = pending.find((login) => typeof state === 'string' && sameText(state, login.state))
    // RFC 9700 §4.7: the answer is to our own request. RFC 9207 §2.4: and from the server that was asked.
    if (!begun || iss !== issuer) {
      throw startAgain(
        'This is not the answer to a login that this browser began, or it was shown before: a code is good once.',
        'demo_state_mismatch',
      )
    }
    writePending(
      reply,
      pending.filter((login) => login !== begun),
    )
    if (typeof error === 'string' || typeof code !== 'string') {
      throw startAgain(`The server answered: ${typeof error === 'string' ? error : 'nothing'}.`, 'demo_refused')
    }
    const answer = await app.inject({
      method: 'POST',
      url: `${new URL(issuer).pathname.replace(/\/$/, '')}/token`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({
        grant_type: 'authorization_code',
        client_id: demoClientId,
        redirect_uri: redirectUri,
        code,
        code_verifier: begun.verifier,
      }).toString(),
    })
    if (answer.statusCode !== 200)
      throw startAgain('The code could not be exchanged for tokens.', 'demo_exchange_failed')
    const tokens = answer.json<TokenResponse>()
    return sendPage(reply, 200, DemoPage(describe(issuer, tokens)))
  })
}

interface PendingLogin {
  readonly state: string
  readonly verifier: string
}

/** Logins that one browser may have begun in several tabs. A cookie has no room for many. */
const mostPending = 3

function readPending(request: FastifyRequest): readonly PendingLogin[] {
  const logins = readCookie(request, 'demo')?.split('~') ?? []
  return logins.flatMap((login) => {
    const [state, verifier] = login.split('.')
    return state && verifier ? [{ state, verifier }] : []
  })
}

function writePending(reply: FastifyReply, pending: readonly PendingLogin[]): void {
  if (pending.length === 0) return void clearCookie(reply, 'demo')
  writeCookie(reply, 'demo', pending.map(({ state, verifier }) => `${state}.${verifier}`).join('~'))
}

function describe(issuer: string, tokens: TokenResponse) {
  const { access_token, refresh_token } = tokens
  return {
    issuer,
    accessToken: {
      header: { ...decodeProtectedHeader(access_token) },
      claims: decodeJwt(access_token),
      expiresIn: tokens.expires_in,
      raw: access_token,
    },
    hasRefreshToken: refresh_token !== undefined,
    scope: tokens.scope,
    commands: [
      ...(refresh_token === undefined
        ? []
        : [
            {
              title: 'Refresh: a new access token, and a new refresh token in place of this one',
              command: `curl ${issuer}/token -d grant_type=refresh_token -d client_id=${demoClientId} -d refresh_token=${refresh_token}`,
            },
          ]),
      {
        title: 'Revoke: the access token is refused from now on',
        command: `curl -i ${issuer}/revoke -d client_id=${demoClientId} -d token=${access_token}`,
      },
      { title: 'The public keys that verify its signature', command: `curl ${issuer}/jwks` },
    ],
  }
}

function sameText(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(a), Buffer.from(b))
}
