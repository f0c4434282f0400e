// A client that signs its requests (RFC 9421): nothing that it sends lets anybody send another one. See ../README.md.

import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { signRequest } from '@ostiary/resource-server/sign'

const { KEY_ID, KEY_FILE = 'signing-key.jwk' } = process.env

/** Keeps the private half in a file that nobody else may read, and prints the public one, which is registered. */
async function makeKey() {
  const { privateKey } = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])
  const { kty, crv, x, d } = await crypto.subtle.exportKey('jwk', privateKey)
  // Never over one that is in use.
  await writeFile(KEY_FILE, JSON.stringify({ kty, crv, x, d }), { flag: 'wx', mode: 0o600 })
  console.log(JSON.stringify({ kty, crv, x }))
  console.error(`The private half is in ${KEY_FILE}. Register the public one, which was printed:`)
  console.error('  ostiary api-key create --owner CLIENT --name NAME --scope SCOPE --public-key FILE')
  console.error('and start this again with the id that it prints as KEY_ID.')
}

const request = (url, { method, headers, body }) =>
  fetch(url, { method, headers, body, redirect: 'error', signal: AbortSignal.timeout(10_000) })

const written = async (answer) => `${answer.status} ${(await answer.text()).slice(0, 200)}`.trim()

const send = async (url, options) => written(await request(url, options))

/** Signs anew each time: an API that has just started takes no signature for some seconds, and says for how many. */
async function sendSigned(url, options, key) {
  for (let attempt = 1; ; attempt++) {
    const headers = await signRequest({ key, keyId: KEY_ID, url, ...options })
    const answer = await request(url, { ...options, headers })
    if (answer.status !== 503 || attempt === 5) return { headers, said: await written(answer) }
    await answer.body?.cancel()
    await wait(Number(answer.headers.get('retry-after') ?? 1) * 1000)
  }
}

async function callApi() {
  const key = JSON.parse(await readFile(KEY_FILE, 'utf8'))
  const { api, untilApiIsReady } = await import('../api-beside.mjs')
  await untilApiIsReady()
  const url = `${api}/orders`

  const order = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"item":"A signed door"}' }
  const { headers: signed, said } = await sendSigned(url, order, key)
  console.log(`POST /orders: ${said}`)
  console.log(`The same a second time: ${await send(url, { ...order, headers: signed })}`)
  console.log(`Another body: ${await send(url, { ...order, body: '{"item":"Another"}', headers: signed })}`)

  console.log(`GET /orders: ${(await sendSigned(url, { method: 'GET' }, key)).said}`)
}

try {
  await (KEY_ID ? callApi() : makeKey())
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
