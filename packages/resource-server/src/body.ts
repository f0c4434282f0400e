import { type BodyProblem, headerValues, type RequestLike } from './request.js'

type Bytes = Uint8Array<ArrayBuffer>

/** Gives the bytes of a request's body, wherever they are to be had. */
export async function bodyOf(request: RequestLike, limit: number): Promise<Bytes | BodyProblem> {
  if (headerValues(request, 'content-length').some((length) => Number(length) > limit)) return 'body_too_large'
  let body: unknown
  try {
    body = await readAny(request, limit)
  } catch {
    // The connection broke, say.
    return 'body_unavailable'
  }
  // What other middleware calls so could be a text.
  if (!isBytes(body)) return body === 'body_too_large' ? body : 'body_unavailable'
  return body.length > limit ? 'body_too_large' : body
}

function readAny(request: RequestLike, limit: number): unknown {
  const { rawBody } = request
  if (rawBody !== undefined) return typeof rawBody === 'function' ? rawBody(limit) : rawBody
  return isFetchRequest(request) ? readFetchBody(request, limit) : undefined
}

function isBytes(value: unknown): value is Bytes {
  return value instanceof Uint8Array
}

/** What is used of a `Request` of the Fetch standard. */
interface FetchRequest {
  readonly bodyUsed: boolean
  readonly body: ReadableStream<Uint8Array> | null
  clone(): FetchRequest
}

export function isFetchRequest(request: object): request is FetchRequest {
  return 'clone' in request && typeof request.clone === 'function' && 'bodyUsed' in request && 'body' in request
}

/** Of a clone: the request's own body stays for whoever handles it. */
async function readFetchBody(request: FetchRequest, limit: number): Promise<Bytes | BodyProblem> {
  if (request.bodyUsed) return 'body_unavailable'
  const { body } = request.body === null ? request : request.clone()
  if (body === null) return new Uint8Array(0)
  const reader = body.getReader()
  const pieces = collect(limit)
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return pieces.all()
    if (pieces.add(value)) continue
    reader.cancel().catch(() => undefined)
    return 'body_too_large'
  }
}

/** What is used of a stream of Node.js. */
interface BodyStream {
  readonly readableDidRead?: boolean
  readonly destroyed?: boolean
  on(event: string, listener: (piece: Bytes) => void): unknown
  off(event: string, listener: (piece: Bytes) => void): unknown
  resume(): unknown
}

function isStream(request: object): request is BodyStream {
  return 'on' in request && typeof request.on === 'function' && 'resume' in request
}

/** Bodies of requests of Node.js: a stream is read once, and what was read stays with its request. */
export interface Bodies {
  /** Reads it, or gives what was read before. */
  readonly read: (request: object, limit: number) => Promise<Bytes | BodyProblem>
  /** What was read before. */
  readonly find: (request: object) => Promise<Bytes | BodyProblem> | undefined
  /** Somebody else read it. */
  readonly keep: (request: object, body: Bytes) => void
}

export function createBodies(): Bodies {
  const read = new WeakMap<object, Promise<Bytes | BodyProblem>>()
  return {
    find: (request) => read.get(request),
    read(request, limit) {
      const before = read.get(request)
      if (before) return before
      const reading = isStream(request) ? readStream(request, limit) : Promise.resolve('body_unavailable' as const)
      read.set(request, reading)
      return reading
    },
    keep(request, body) {
      read.set(request, Promise.resolve(body))
    },
  }
}

function readStream(stream: BodyStream, limit: number): Promise<Bytes | BodyProblem> {
  if (stream.readableDidRead || stream.destroyed) return Promise.resolve('body_unavailable')
  return new Promise((resolve) => {
    const pieces = collect(limit)
    const settle = (result: Bytes | BodyProblem): void => {
      for (const [event, listener] of Object.entries(listeners)) stream.off(event, listener)
      resolve(result)
    }
    const broken = (): void => settle('body_unavailable')
    const listeners = {
      data(piece: Bytes) {
        if (pieces.add(piece)) return
        settle('body_too_large')
        // The rest goes nowhere; else it would stand in the way of the next request.
        stream.resume()
      },
      end: () => settle(pieces.all()),
      error: broken,
      close: broken,
    }
    for (const [event, listener] of Object.entries(listeners)) stream.on(event, listener)
  })
}

interface Pieces {
  /** @returns false where it would be too much */
  readonly add: (piece: Uint8Array) => boolean
  readonly all: () => Bytes
}

/** @param limit bytes */
export function collect(limit: number): Pieces {
  const pieces: Uint8Array[] = []
  let size = 0
  return {
    add(piece) {
      size += piece.length
      if (size > limit) return false
      pieces.push(piece)
      return true
    },
    all() {
      const all = new Uint8Array(size)
      let at = 0
      for (const piece of pieces) {
        all.set(piece, at)
        at += piece.length
      }
      return all
    },
  }
}
