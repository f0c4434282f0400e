import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { Origin } from '../context.js'
import type { OAuthError } from '../oauth/errors.js'
import type { Logger } from '../platform/log.js'
import { monotonicMilliseconds } from '../platform/monotonic.js'
import type { Random } from '../platform/random.js'
import { type CachedDocument, documentHeaders } from './cached-document.js'
import { variesByOrigin } from './cors.js'
import { describeBearerError, describeError } from './describe-error.js'
import type { PageSettings } from './pages.js'
import { peerAddress, type TrustedProxies } from './request.js'
import { isForm, refusalOf } from './screening.js'
import { noStoreHeaders } from './security-headers.js'

/** A form as a program sends it. */
export interface DirectForm {
  readonly authorization: string | undefined
  /** As it came, for `readParameters`. */
  readonly encoded: string
  readonly origin: Origin
}

/** A body, or none, that is sent with header fields of its own. */
export class FieldedAnswer {
  readonly body: object | undefined
  readonly fields: Readonly<Record<string, string>>

  constructor(body: object | undefined, fields: Readonly<Record<string, string>>) {
    this.body = body
    this.fields = fields
  }
}

/**
 * The direct way: most requests of a busy server are one of a few, and have nothing special about them: a form for /token
 * with a length, or a GET of the JWKS or of UserInfo, without query, `Origin` or anything that `refusalOf` would refuse. Fastify's
 * objects, hooks and streams cost about a quarter of what a token takes. So they are answered here,
 * by the same functions and with the same header fields; everything else, also of the same addresses, goes through the
 * scopes. test/unit/http/direct.test.ts compares the two.
 */
export interface DirectAnswers {
  readonly form: (
    scope: FastifyInstance,
    path: string,
    answer: (form: DirectForm) => Promise<object | undefined>,
  ) => void
  readonly document: (scope: FastifyInstance, path: string, current: () => CachedDocument) => void
  /** A GET of what an access token opens. */
  readonly opened: (scope: FastifyInstance, path: string, answer: AnswerOpened) => void
  /**
   * Whatever is asked below the path, by any method, is answered here alone: for requests that hold another's, so that no
   * header but those that the answer reads means anything, and no body is read.
   *
   * @param answer never throws; it gets what stands behind the path in the address
   */
  readonly below: (scope: FastifyInstance, path: string, answer: AnswerBelow) => void
  /** What the server listens by. */
  readonly listener: RequestListener
  /** From here on everything goes through Fastify, whose answers tell that the connection closes. */
  readonly stop: () => void
}

/** A text as it is sent. */
export interface DirectText {
  readonly contentType: string
  readonly text: string
  /** Header fields of its own. */
  readonly fields?: Readonly<Record<string, string>> | undefined
}

export type AnswerBelow = (request: IncomingMessage, rest: string, origin: Required<Origin>) => Promise<DirectReply>

/** What is sent, besides the header fields of every response. */
export interface DirectReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

export interface DirectOptions {
  readonly log: Logger
  readonly random: Random
  readonly issuer: string
  readonly trusted: TrustedProxies | undefined
  /** Header fields of every response. */
  readonly headers: Readonly<Record<string, string>>
  readonly bodyLimit: number
  readonly onRefusal?: PageSettings['onRefusal']
  /** For what is not answered directly. */
  readonly routing: RequestListener
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** It reads the address only where that matters. */
type AnswerOpened = (request: Pick<IncomingMessage, 'headers'>, ipOf: () => string) => Promise<DirectText>

export function createDirectAnswers(options: DirectOptions): DirectAnswers {
  const { log, random, issuer, trusted, headers, bodyLimit, routing, onRefusal } = options
  const forms = new Map<string, Answer>()
  /** By GET. */
  const documents = new Map<string, Answer>()
  const below = new Map<string, Answer>()
  let stopped = false

  /** One line per request, as of those that go through the scopes. */
  function logged(response: ServerResponse, method: string, route: string, requestId = random.uuid()): void {
    const since = monotonicMilliseconds()
    response.once('finish', () => {
      const ms = Math.round((monotonicMilliseconds() - since) * 10) / 10
      log.info({ requestId, method, route, status: response.statusCode, ms }, 'request')
    })
  }

  /** @param fixed header fields of every answer, flat */
  function answerForm(
    path: string,
    fixed: readonly string[],
    answer: (form: DirectForm) => Promise<object | undefined>,
  ): Answer {
    const ofResult = withJson(fixed)
    const respond = (response: ServerResponse, result: object | undefined): void => {
      if (result instanceof FieldedAnswer) {
        // In front: the length must be the last.
        const fields = result.body === undefined ? [...fixed] : [...ofResult]
        for (const name in result.fields) fields.unshift(name, result.fields[name]!)
        if (result.body === undefined) sendNothing(response, fields)
        else send(response, 200, fields, result.body)
      } else if (result === undefined) sendNothing(response, fixed)
      else send(response, 200, ofResult, result)
    }
    const refuse = (response: ServerResponse, thrown: unknown, { ip, requestId }: Required<Origin>): void => {
      const heard = onRefusal && ((error: OAuthError) => onRefusal(error, ip))
      const { status, headers: own, body } = describeError(thrown, { log, requestId, issuer, onRefusal: heard })
      send(response, status, withJson([...withoutReplaced(fixed, own), ...Object.entries(own).flat()]), body)
    }
    return (request, response) => {
      const origin = { ip: peerAddress(request, trusted), requestId: random.uuid() }
      if (log.isLevelEnabled('info')) logged(response, 'POST', path, origin.requestId)
      readBody(request, (encoded) => {
        answer({ authorization: request.headers.authorization, encoded, origin }).then(
          (result) => respond(response, result),
          (error) => refuse(response, error, origin),
        )
      })
    }
  }

  function answerDocument(path: string, vary: readonly string[], current: () => CachedDocument): Answer {
    const fixed = [...Object.entries(headers).flat(), ...vary]
    let made: { readonly of: CachedDocument; readonly fields: string[] } | undefined
    return (_request, response) => {
      if (log.isLevelEnabled('info')) logged(response, 'GET', path)
      const document = current()
      if (made?.of !== document) {
        const length = ['Content-Type', document.contentType, 'Content-Length', String(document.body.length)]
        const fields = [...fixed, ...Object.entries(documentHeaders(document)).flat(), ...length]
        made = { of: document, fields }
      }
      response.writeHead(200, made.fields)
      response.end(document.body)
    }
  }

  function answerOpened(path: string, fixed: readonly string[], answer: AnswerOpened): Answer {
    const refuse = (response: ServerResponse, thrown: unknown, { ip, requestId }: Required<Origin>): void => {
      const heard = onRefusal && ((error: OAuthError) => onRefusal(error, ip))
      const asked = { log, requestId, issuer, onRefusal: heard }
      const { status, headers: own, body } = describeBearerError(thrown, asked)
      const fields = [...withoutReplaced(fixed, own), ...Object.entries(own).flat()]
      if (body === undefined) response.writeHead(status, [...fields, 'Content-Length', '0']).end()
      else send(response, status, withJson(fields), body)
    }
    return (request, response) => {
      const requestId = random.uuid()
      const ipOf = () => peerAddress(request, trusted)
      if (log.isLevelEnabled('info')) logged(response, 'GET', path, requestId)
      answer(request, ipOf).then(
        ({ contentType, text, fields }) =>
          sendText(response, 200, [...fixed, ...flat(fields), 'Content-Type', contentType], text),
        (error) => refuse(response, error, { ip: ipOf(), requestId }),
      )
    }
  }

  function answerBelow(address: string, answer: AnswerBelow): Answer {
    const fixed = Object.entries({ ...headers, ...noStoreHeaders }).flat()
    return (request, response) => {
      const { method = '', url = '' } = request
      const origin = { ip: peerAddress(request, trusted), requestId: random.uuid() }
      if (log.isLevelEnabled('info')) logged(response, method, `${address}:name`, origin.requestId)
      answer(request, url.slice(address.length), origin)
        .then(({ status, headers: own, body = '' }) => {
          const fields = [...withoutReplaced(fixed, own), ...Object.entries(own).flat()]
          fields.push('Content-Length', String(Buffer.byteLength(body)))
          if (stopped) fields.push('Connection', 'close')
          response.writeHead(status, fields)
          response.end(body)
        })
        .catch((error) => {
          log.error({ err: error, requestId: origin.requestId }, 'an answer could not be sent')
          response.destroy()
        })
    }
  }

  /** Of those few that there are. */
  function findBelow(url: string): Answer | undefined {
    for (const [address, answer] of below) if (url.startsWith(address)) return answer
    return undefined
  }

  return {
    below(scope, path, answer) {
      const address = `${scope.prefix}${path}`
      below.set(address, answerBelow(address, answer))
    },

    form(scope, path, answer) {
      const fixed = [...Object.entries({ ...headers, ...noStoreHeaders }).flat(), ...varyOf(scope)]
      const address = `${scope.prefix}${path}`
      forms.set(address, answerForm(address, fixed, answer))
    },

    opened(scope, path, answer) {
      const fixed = [...Object.entries({ ...headers, ...noStoreHeaders }).flat(), ...varyOf(scope)]
      const address = `${scope.prefix}${path}`
      documents.set(address, answerOpened(address, fixed, answer))
    },

    document(scope, path, current) {
      const address = `${scope.prefix}${path}`
      documents.set(address, answerDocument(address, varyOf(scope), current))
    },

    listener(request, response) {
      const { method, url } = request
      if (!stopped && url !== undefined) {
        const answer = method === 'POST' ? forms.get(url) : method === 'GET' ? documents.get(url) : undefined
        if (
          answer &&
          isPlain(request) &&
          (method === 'GET' ? isFirstLook(request) : hasWholeForm(request, bodyLimit))
        ) {
          answer(request, response)
          return
        }
      }
      const ofAnother = url === undefined ? undefined : findBelow(url)
      if (ofAnother) {
        ofAnother(request, response)
        return
      }
      routing(request, response)
    },

    stop() {
      stopped = true
    },
  }
}

function isPlain(request: IncomingMessage): boolean {
  const { headers } = request
  return headers.origin === undefined && headers.expect === undefined && refusalOf(request) === undefined
}

/** Nothing to compare, and nothing behind the header. */
function isFirstLook({ headers }: IncomingMessage): boolean {
  return (
    headers['if-none-match'] === undefined &&
    headers['content-length'] === undefined &&
    headers['transfer-encoding'] === undefined
  )
}

/** Its length is known beforehand, and Node reads exactly so much. */
function hasWholeForm({ headers }: IncomingMessage, bodyLimit: number): boolean {
  const length = Number(headers['content-length'])
  return length > 0 && length <= bodyLimit && headers['transfer-encoding'] === undefined && isForm(headers)
}

/** Whoever leaves before the end gets no answer. */
function readBody(request: IncomingMessage, done: (encoded: string) => void): void {
  const length = Number(request.headers['content-length'])
  let read = 0
  let text = ''
  request.on('data', (chunk: Buffer) => {
    read += chunk.length
    // What is not ASCII is refused by `readParameters`, whatever it would be as UTF-8.
    text += chunk.toString('latin1')
    if (read === length) done(text)
  })
}

/** Header fields with those of a JSON body, its length last: `send` writes it in. */
function withJson(fields: readonly string[]): string[] {
  return [...fields, 'Content-Type', 'application/json; charset=utf-8', 'Content-Length', '']
}

/** RFC 7009 §2.2. A Content-Type without content is refused by some clients. */
function sendNothing(response: ServerResponse, fields: readonly string[]): void {
  response.writeHead(200, [...fields, 'Content-Length', '0']).end()
}

/** @param fields of `withJson`, which may be used again: Node reads them before this returns */
function send(response: ServerResponse, status: number, fields: string[], body: object): void {
  const text = JSON.stringify(body)
  const length = Buffer.byteLength(text)
  fields[fields.length - 1] = String(length)
  response.writeHead(status, fields)
  response.end(text, encodingOf(text, length))
}

function sendText(response: ServerResponse, status: number, fields: string[], text: string): void {
  const length = Buffer.byteLength(text)
  response.writeHead(status, [...fields, 'Content-Length', String(length)])
  response.end(text, encodingOf(text, length))
}

/** A text goes with its header in one piece; what is all ASCII need not be encoded, which costs more than the rest of it. */
function encodingOf(text: string, length: number): 'latin1' | 'utf8' {
  return text.length === length ? 'latin1' : 'utf8'
}

function flat(fields: Readonly<Record<string, string>> = {}): readonly string[] {
  return Object.entries(fields).flat()
}

function varyOf(scope: FastifyInstance): readonly string[] {
  return variesByOrigin(scope) ? ['Vary', 'Origin'] : []
}

function withoutReplaced(fields: readonly string[], own: Readonly<Record<string, string>>): readonly string[] {
  const names = new Set(Object.keys(own).map((name) => name.toLowerCase()))
  return fields.filter((_, index) => !names.has(fields[index - (index % 2)]!.toLowerCase()))
}

const DIRECT = 'directAnswers'

export function decorateDirect(app: FastifyInstance, direct: DirectAnswers): void {
  app.decorate(DIRECT, direct)
}

export function directAnswers(scope: FastifyInstance): DirectAnswers {
  return scope.getDecorator<DirectAnswers>(DIRECT)
}
