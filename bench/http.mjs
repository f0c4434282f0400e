// One request and its answer: for what is no load, and for the load that keeps a rate.

import { Agent, request } from 'node:http'

/**
 * Fewer connections than a listening socket holds while a server is busy: beyond that the system resets them. Whoever waits
 * for a free one waits in the measured time, which begins when the request was due.
 */
export const createAgent = () => new Agent({ keepAlive: true, noDelay: true, maxSockets: 256 })

/** @returns `status`, `headers` and `text` */
export function send(agent, origin, { method, path, headers, body }) {
  return new Promise((resolve, reject) => {
    const sent = request(`${origin}${path}`, { agent, method, headers, timeout: 20_000 }, (answer) => {
      const chunks = []
      answer.on('data', (chunk) => chunks.push(chunk))
      answer.once('end', () => {
        resolve({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(chunks).toString() })
      })
      answer.once('error', reject)
    })
    sent.once('timeout', () => sent.destroy(new Error('no answer within 20 s')))
    // nginx closes a connection after a thousand requests, and one may be on its way then.
    sent.once('error', (error) => {
      const isRepeatable = method === 'GET' && sent.reusedSocket && error.code === 'ECONNRESET'
      if (isRepeatable) send(agent, origin, { method, path, headers, body }).then(resolve, reject)
      else reject(error)
    })
    sent.end(body)
  })
}

export const formHeaders = { 'content-type': 'application/x-www-form-urlencoded' }

export function encode(form) {
  return new URLSearchParams(form).toString()
}

/** A POST of a form. */
export function formJob(path, form, more = {}) {
  return { method: 'POST', path, headers: { ...formHeaders, ...more.headers }, ...more.job, body: encode(form) }
}

/** Sixty-four at a time. */
export async function collect(count, make) {
  const made = []
  while (made.length < count) {
    made.push(...(await Promise.all(Array.from({ length: Math.min(64, count - made.length) }, make))))
  }
  return made
}
