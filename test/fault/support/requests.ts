// Every request that the load makes, and how its answer is read.

import { challenge, verifier } from '../../support/grants.js'
import type { Span } from './clocks.js'
import { nameOf } from './ledger.js'
import { type Account, type People, redirectUri } from './people.js'
import type { Answer, Asked, Reading } from './requester.js'

export interface Tokens {
  readonly access: string
  readonly refresh: string
}

export function tokensOf(answer: Answer): Tokens {
  const { access_token: access, refresh_token: refresh } = JSON.parse(answer.body)
  return { access, refresh }
}

const post = (path: string, { basic }: Account, form: Readonly<Record<string, string>>): Asked['sent'] => ({
  method: 'POST',
  path,
  form,
  headers: { authorization: basic },
})

/** 200 with tokens, or `invalid_grant`. */
function readGranted({ status, body }: Answer): Reading | undefined {
  if (status === 400 && JSON.parse(body).error === 'invalid_grant') return { answer: 'refused' }
  if (status !== 200) return undefined
  const { refresh_token: refresh } = JSON.parse(body)
  return typeof refresh === 'string' ? { answer: 'ok', gives: nameOf(refresh) } : undefined
}

/** A code, and until when it is good. */
export interface Code {
  readonly value: string
  readonly ends: Span
}

/** The grant has the name of its code in the history. */
export function redeem(people: People, { value: code, ends }: Code): Asked {
  return {
    kind: 'redeem',
    ends,
    sent: post('/token', people.application, {
      grant_type: 'authorization_code',
      code,
      redirect_uri: redirectUri,
      code_verifier: verifier,
    }),
    about: { model: 'grant', key: nameOf(code), name: 'redeem' },
    read: readGranted,
  }
}

/** @param variant `narrow` is another request than the usual one: it names the scope */
export function refresh(people: People, key: string, token: string, variant: '' | 'narrow' = ''): Asked {
  return {
    kind: 'refresh',
    sent: post('/token', people.application, {
      grant_type: 'refresh_token',
      refresh_token: token,
      ...(variant === 'narrow' ? { scope: 'read' } : {}),
    }),
    about: { model: 'grant', key, name: 'refresh', token: nameOf(token), variant },
    read: readGranted,
  }
}

/** By a refresh token: its whole grant ends. */
export function revokeGrant(people: People, key: string, refreshToken: string): Asked {
  return {
    kind: 'revoke',
    sent: post('/revoke', people.application, { token: refreshToken }),
    about: { model: 'grant', key, name: 'revoke', token: nameOf(refreshToken) },
    read: ({ status }) => (status === 200 ? { answer: 'ok' } : undefined),
  }
}

export function revokeToken(people: People, accessToken: string): Asked {
  return {
    kind: 'revoke',
    sent: post('/revoke', people.service, { token: accessToken }),
    about: { model: 'token', key: nameOf(accessToken), name: 'revoke' },
    read: ({ status }) => (status === 200 ? { answer: 'ok' } : undefined),
  }
}

/** @param about the grant that the access token came of, or itself where it came of none */
export function introspect(
  people: People,
  accessToken: string,
  about: { readonly model: 'grant' | 'token'; readonly key: string },
): Asked {
  return {
    kind: 'introspect',
    sent: post('/introspect', people.api, { token: accessToken }),
    about: { ...about, name: 'introspect' },
    ends: endOf(accessToken),
    read: ({ status, body }) =>
      status === 200 ? { answer: JSON.parse(body).active === true ? 'active' : 'inactive' } : undefined,
  }
}

/** By the claims, which are a claim of the process that issued it: it says when by its own clock. */
function endOf(accessToken: string): Span | undefined {
  const [, claims] = accessToken.split('.')
  if (claims === undefined) return undefined
  const end = JSON.parse(Buffer.from(claims, 'base64url').toString()).exp * 1000
  return { from: end, to: end }
}

export function clientCredentials(people: People): Asked {
  return {
    kind: 'client_credentials',
    sent: post('/token', people.service, {
      grant_type: 'client_credentials',
      scope: 'read',
      resource: people.api.identifier,
    }),
    read: ({ status, body }) =>
      status === 200 && typeof JSON.parse(body).access_token === 'string' ? { answer: 'ok' } : undefined,
  }
}

/** A wrong secret. */
export function guess({ clientId }: Account): Asked {
  const basic = `Basic ${Buffer.from(`${clientId}:wrong`).toString('base64')}`
  return {
    kind: 'guess',
    sent: post('/token', { clientId, basic }, { grant_type: 'client_credentials' }),
    about: { model: 'failures', key: clientId, name: 'guess' },
    read({ status, headers }) {
      if (status === 401) return { answer: 'wrong' }
      return status === 429 && headers['retry-after'] ? { answer: 'held' } : undefined
    },
  }
}

export interface Page {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Whether a page or a redirect is expected. */
  readonly statuses: readonly (200 | 303)[]
  readonly cookie: string
  readonly form?: Readonly<Record<string, string>>
  /** Where the login that it is a step of was begun some time ago. */
  readonly ends?: Span | undefined
}

/** A step of a login. */
export function page({ method, path, statuses, cookie, form, ends }: Page): Asked {
  return {
    kind: 'login',
    sent: { method, path, headers: { accept: 'text/html', ...(cookie ? { cookie } : {}) }, ...(form ? { form } : {}) },
    ends,
    read(answer) {
      if (statuses.some((status) => answer.status === status)) return { answer: 'ok' }
      return answer.late !== undefined && answer.status === 400 ? { answer: 'refused' } : undefined
    },
  }
}

export function authorizePath({ application, api }: People): string {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: application.clientId,
    redirect_uri: redirectUri,
    scope: 'read',
    resource: api.identifier,
    state: 'state',
    code_challenge: challenge,
    code_challenge_method: 'S256',
  })
  return `/authorize?${query}`
}
