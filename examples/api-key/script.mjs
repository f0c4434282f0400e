// A script with an API key: what it is told beside the answer, it says and does. See ../README.md.

import { setTimeout as wait } from 'node:timers/promises'
import { api, untilApiIsReady } from '../api-beside.mjs'

const { API_KEY, REQUESTS = '1' } = process.env

/** Seconds that are waited at most; who is told to come back later than that ends. */
const patience = 60

/** `"standard";r=4;t=1`: how many requests are left, and in how many seconds all of them are there again. */
function sayLimit({ headers }) {
  const [, tier, left, again] = /^"([^"]*)";r=(\d+)(?:;t=(\d+))?/.exec(headers.get('ratelimit')) ?? []
  if (tier) console.log(`Tier ${tier}: ${left} left${again ? `, all of them again in ${again} s` : ''}.`)
}

let saidThatItIsOld = false

/** A key that was rotated goes on for a while: RFC 9745, RFC 8594. */
function sayAge({ headers }) {
  const [, since] = /^@(\d+)$/.exec(headers.get('deprecation')) ?? []
  if (!since || saidThatItIsOld) return
  saidThatItIsOld = true
  const end = headers.get('sunset')
  console.warn(`This key has a successor since ${new Date(since * 1000).toISOString()}: move to it.`)
  if (end) console.warn(`This one ends at ${new Date(end).toISOString()}.`)
}

/** Asks, and asks again where it was told to come back. */
async function ask(path) {
  for (;;) {
    const answer = await fetch(`${api}${path}`, {
      headers: { authorization: `Bearer ${API_KEY}` },
      // A key goes nowhere else.
      redirect: 'error',
      signal: AbortSignal.timeout(10_000),
    })
    sayLimit(answer)
    sayAge(answer)
    if (answer.ok) return answer.json()
    await answer.body?.cancel()
    const seconds = Number(answer.headers.get('retry-after') ?? Number.NaN)
    const isBusy = answer.status === 429 || answer.status === 503
    if (!isBusy || !(seconds <= patience))
      throw new Error(refusals[answer.status] ?? `The API answered ${answer.status}.`)
    console.warn(`${answer.status}: asked to slow down, and to come back in ${seconds} s.`)
    await wait(seconds * 1000)
  }
}

const refusals = {
  401: 'The API refuses the key: it is wrong, has ended or expired, or is not for this network.',
  403: 'The key is good, and may not do this.',
}

try {
  if (!API_KEY) throw new Error('API_KEY is not set: `ostiary api-key create` makes one.')
  await untilApiIsReady()
  for (let index = 0; index < Number(REQUESTS); index++) {
    const { orders, for: owner } = await ask('/orders')
    console.log(`${orders.length} order for ${owner}.`)
  }
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
