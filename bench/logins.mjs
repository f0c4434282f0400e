// What a browser does until the form of the login page is sent.

import { encode, formHeaders, send } from './http.mjs'

let turn = 0

/**
 * Asks for authorization, follows to the login page, and gives the POST of its form, with the cookie and the CSRF token.
 *
 * @param login `path` of /authorize, and the `accounts` that sign in in turn
 */
export async function openLogin(agent, origin, { path, accounts }) {
  const started = await send(agent, origin, { method: 'GET', path })
  const address = started.headers.location
  if (started.status !== 303 || !address?.startsWith('/interaction/')) throw unexpected('/authorize', started)
  const cookie = started.headers['set-cookie'].map((line) => line.split(';', 1)[0]).join('; ')
  const page = await send(agent, origin, { method: 'GET', path: address, headers: { cookie } })
  const token = /name="csrf_token" value="([A-Za-z0-9_-]+)"/.exec(page.text)?.[1]
  if (page.status !== 200 || !token) throw unexpected('the login page', page)
  const { username, password } = accounts[turn++ % accounts.length]
  const headers = { ...formHeaders, cookie }
  return { method: 'POST', path: address, headers, body: encode({ csrf_token: token, username, password }) }
}

/** The code of the redirect that ends a login. */
export function codeOf({ status, headers }, redirectUri) {
  const location = headers.location ?? headers.Location
  if (status !== 303 || !location?.startsWith(`${redirectUri}?`)) return undefined
  return new URL(location).searchParams.get('code') ?? undefined
}

const unexpected = (where, { status, text }) => new Error(`${where}: ${status} ${text.slice(0, 500)}`)
