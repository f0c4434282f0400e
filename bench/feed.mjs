// A listener of the revocation feed: plain server-sent events, and what they cost on the wire.

import { request } from 'node:http'
import { createGunzip, gunzipSync } from 'node:zlib'

/**
 * @param onEntries hears the entries of each event
 * @returns `bytes()` of the body as they came, `live` (resolves with the first heartbeat) and `close()`
 */
export async function listen(
  origin,
  token,
  { onEntries = () => undefined, after, gzip = true, heartbeat = 2000 } = {},
) {
  const path = `/revocations?heartbeat=${heartbeat}${after === undefined ? '' : `&after=${after}`}`
  const headers = { authorization: `Bearer ${token}`, ...(gzip && { 'accept-encoding': 'gzip' }) }
  const asked = request(`${origin}${path}`, { headers, agent: false }).end()
  const answer = await new Promise((resolve, reject) => asked.once('response', resolve).once('error', reject))
  if (answer.statusCode !== 200) throw new Error(`the feed answers ${answer.statusCode}`)
  let bytes = 0
  let text = ''
  let isLive
  const live = new Promise((resolve) => {
    isLive = resolve
  })
  answer.on('data', (chunk) => {
    bytes += chunk.length
  })
  const ended = () => undefined
  const body = gzip ? answer.pipe(createGunzip()) : answer
  for (const stream of [asked, answer, body]) stream.on('error', ended)
  body.on('data', (chunk) => {
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const event = text.slice(0, end)
      text = text.slice(end + 2)
      if (event.includes('event: revocations\n')) onEntries(JSON.parse(event.slice(event.indexOf('data: ') + 6)))
      else if (event.startsWith('event: heartbeat\n')) isLive()
    }
  })
  return { bytes: () => bytes, live, close: () => asked.destroy() }
}

/** A whole snapshot. @returns `bytes` on the wire, `documents`, `entries` and the last `position` */
export async function readSnapshot(origin, token) {
  const sum = { bytes: 0, documents: 0, entries: 0, position: '0' }
  for (let more = true; more; ) {
    const headers = { authorization: `Bearer ${token}`, 'accept-encoding': 'gzip' }
    const asked = request(`${origin}/revocations/snapshot?after=${sum.position}`, { headers, agent: false }).end()
    const answer = await new Promise((resolve, reject) => asked.once('response', resolve).once('error', reject))
    const chunks = []
    for await (const chunk of answer) chunks.push(chunk)
    const packed = Buffer.concat(chunks)
    if (answer.statusCode !== 200) throw new Error(`the snapshot answers ${answer.statusCode}`)
    const [, payload] = gunzipSync(packed).toString().split('.')
    const document = JSON.parse(Buffer.from(payload, 'base64url').toString())
    sum.bytes += packed.length
    sum.documents++
    sum.entries += document.revocations.length
    sum.position = document.position
    more = document.more
  }
  return sum
}
