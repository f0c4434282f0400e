// A service that calls an API as itself, in nobody's name: see ../README.md.

import { createServer } from 'node:http'
import * as client from 'openid-client'
import { api } from '../api-beside.mjs'

const { ISSUER = 'http://localhost:3000', PORT = '8084', CLIENT_ID, CLIENT_SECRET } = process.env

const config = await client.discovery(new URL(ISSUER), CLIENT_ID, undefined, client.ClientSecretBasic(CLIENT_SECRET), {
  algorithm: 'oauth2',
  // Plain http is for a server on your own machine.
  execute: ISSUER.startsWith('http:') ? [client.allowInsecureRequests] : [],
})

/** Seconds before its end from which a token is used no more: a request is on its way for a while, and clocks differ. */
const margin = 30

let current = { value: '', staleAt: 0 }
let asking

/** A token that is good for a while yet. All who ask while one is on its way wait for that one. */
async function accessToken() {
  if (Date.now() < current.staleAt) return current.value
  asking ??= askForToken().finally(() => {
    asking = undefined
  })
  return asking
}

async function askForToken() {
  const { access_token, expires_in } = await client.clientCredentialsGrant(config, { scope: 'orders:read' })
  current = { value: access_token, staleAt: Date.now() + (expires_in - margin) * 1000 }
  return access_token
}

/** Calls the API. A token that it refuses was revoked before its time: once, it is asked again with a new one. */
async function callApi(path) {
  const ask = (token) =>
    fetch(`${api}${path}`, {
      headers: { authorization: `Bearer ${token}` },
      redirect: 'error',
      signal: AbortSignal.timeout(10_000),
    })
  const token = await accessToken()
  const answer = await ask(token)
  if (answer.status !== 401) return answer
  await answer.body?.cancel()
  // Only what was refused is dropped: another request may have brought a new token meanwhile.
  if (current.value === token) current = { value: '', staleAt: 0 }
  return ask(await accessToken())
}

createServer(async (request, response) => {
  const send = (status, answer) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(answer)}\n`)
  if (request.method !== 'GET' || request.url !== '/report') return send(404, { error: 'GET /report is all there is' })
  try {
    const answer = await callApi('/orders')
    if (!answer.ok) throw new Error(`the API answered ${answer.status}`)
    const { orders, for: caller } = await answer.json()
    send(200, { orders: orders.length, caller })
  } catch (error) {
    send(502, { error: error.error ?? error.message })
  }
}).listen(Number(PORT), 'localhost', () => console.log(`The service listens at http://localhost:${PORT}/report`))
