import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { HttpError } from './refusal.js'

const FORM = /^application\/x-www-form-urlencoded[\t ]*(?:;[\t ]*charset="?utf-8"?[\t ]*)?$/i

export function isForm(headers: IncomingHttpHeaders): boolean {
  return FORM.test(headers['content-type'] ?? '')
}

/** Why a request is refused by its header alone, before its body is read. */
export function refusalOf(request: IncomingMessage): HttpError | undefined {
  const { rawHeaders, headers, method } = request
  let seen = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!
    const bit = mayBeSingle(name) ? (SINGLE.get(name.toLowerCase()) ?? 0) : 0
    if (bit === 0) continue
    if (seen & bit) {
      // Node keeps the first of them, a proxy may have looked at the last (attacks 119 and 123).
      return new HttpError(400, 'A header field is repeated.', { reason: 'header_repeated' })
    }
    seen |= bit
  }

  // Bombs are small until they are unpacked (attack 138), and no client has a reason to compress a form.
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    return new HttpError(415, 'The body must not be compressed.', {
      reason: 'content_encoding',
      headers: { 'Accept-Encoding': 'identity' },
    })
  }
  if (headers['content-type'] !== undefined && method !== 'GET' && method !== 'HEAD' && !isForm(headers)) {
    return new HttpError(415, 'The body must be application/x-www-form-urlencoded in UTF-8.', {
      reason: 'content_type',
    })
  }
  return undefined
}

/** Fields that may occur once, each with a bit. */
const SINGLE: ReadonlyMap<string, number> = new Map([
  ['authorization', 1],
  ['content-type', 2],
  ['content-encoding', 4],
  ['host', 8],
  ['origin', 16],
  ['dpop', 32],
])

/** Most fields are told apart by their length alone: this runs for every field of every request. */
const SINGLE_LENGTHS = [...SINGLE.keys()].reduce((bits, { length }) => bits | (1 << length), 0)

function mayBeSingle({ length }: string): boolean {
  return length < 32 && (SINGLE_LENGTHS & (1 << length)) !== 0
}
