import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { HttpError } from './refusal.js'

const FORM = /^application\/x-www-form-urlencoded[\t ]*(?:;[\t ]*charset="?utf-8"?[\t ]*)?$/i

/** RFC 8259 §8.1: UTF-8, and no parameter says so; many clients do all the same. */
const JSON_TYPE = /^application\/json[\t ]*(?:;[\t ]*charset="?utf-8"?[\t ]*)?$/i

/** What the bodies of an address are. */
export type BodyType = 'form' | 'json'

export function isForm(headers: IncomingHttpHeaders): boolean {
  return FORM.test(headers['content-type'] ?? '')
}

/** Why a request is refused by its header alone, before its body is read. */
export function refusalOf(request: IncomingMessage, expected: BodyType = 'form'): HttpError | undefined {
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
  if (method === 'GET' || method === 'HEAD') return undefined
  const isRead = expected === 'form' ? isForm(headers) : JSON_TYPE.test(headers['content-type'] ?? '')
  // What a form without a type is says Fastify, which has no parser for it either.
  if (isRead || (headers['content-type'] === undefined && (expected === 'form' || !hasBody(headers)))) return undefined
  const name = expected === 'form' ? 'application/x-www-form-urlencoded' : 'application/json'
  return new HttpError(415, `The body must be ${name} in UTF-8.`, { reason: 'content_type' })
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
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
