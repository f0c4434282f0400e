import type { ServerResponse } from 'node:http'
import { constants, crc32, deflateRawSync } from 'node:zlib'

/** An event as it is sent to any number of listeners: its bytes are made once. */
export interface StreamEvent {
  readonly plain: Buffer
  /** Blocks of a deflate stream that refer to nothing before them, and end at a byte (RFC 1951 §3.2). */
  readonly deflated: () => Buffer
}

/** Bytes below which there is nothing to compress: such an event is a stored block. */
const small = 160

/** HTML §9.2.5. @param fields in their order; a value has no line break */
export function streamEvent(fields: Readonly<Record<string, string>>): StreamEvent {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`)
  const plain = Buffer.from(`${lines.join('')}\n`)
  let deflated: Buffer | undefined
  return {
    plain,
    deflated: () => {
      deflated ??= plain.length < small ? storedBlock(plain) : deflate(plain)
      return deflated
    },
  }
}

function storedBlock(plain: Buffer): Buffer {
  const header = Buffer.alloc(5)
  header.writeUInt16LE(plain.length, 1)
  header.writeUInt16LE(~plain.length & 0xffff, 3)
  return Buffer.concat([header, plain])
}

function deflate(plain: Buffer): Buffer {
  return deflateRawSync(plain, { level: constants.Z_BEST_SPEED, finishFlush: constants.Z_SYNC_FLUSH })
}

/** RFC 1952 §2.3: no name, no time, any system. */
const gzipHeader = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])
/** RFC 1951 §3.2.6: a last block with nothing in it. */
const lastBlock = Buffer.from([3, 0])

/** Bytes that may wait for a listener to read before it is cut: what it missed it can ask for again. */
const mostWaiting = 1_048_576

/** Server-sent events to one listener. */
export interface EventStream {
  /** @returns false where the next one should wait for `drained`. Nobody is cut for what fits into the bound. */
  readonly write: (event: StreamEvent) => boolean
  /** Resolves when what was written was taken, or the listener is gone. */
  readonly drained: () => Promise<void>
  /** Bytes that the listener has not taken. */
  readonly waiting: () => number
  /** Sends a last event and ends the answer. */
  readonly end: (last?: StreamEvent) => void
  readonly cut: () => void
}

/** Begins the answer. @param gzip the listener takes it; each event is flushed */
export function openEventStream(
  response: ServerResponse,
  headers: Readonly<Record<string, string | number | readonly string[] | undefined>>,
  gzip: boolean,
): EventStream {
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value)
  response.setHeader('Content-Type', 'text/event-stream')
  response.setHeader('Vary', 'Accept-Encoding')
  // Proxies that collect an answer before they pass it on leave this one alone.
  response.setHeader('X-Accel-Buffering', 'no')
  if (gzip) response.setHeader('Content-Encoding', 'gzip')
  response.writeHead(200)
  response.flushHeaders()
  let sum = 0
  let length = 0
  if (gzip) response.write(gzipHeader)

  const write = (event: StreamEvent): boolean => {
    if (response.destroyed || response.writableEnded) return true
    if (response.writableLength > mostWaiting) {
      response.destroy()
      return true
    }
    if (!gzip) return response.write(event.plain)
    sum = crc32(event.plain, sum)
    length += event.plain.length
    return response.write(event.deflated())
  }
  return {
    write,
    drained: () =>
      new Promise((resolve) => {
        if (response.destroyed || !response.writableNeedDrain) return resolve()
        const done = (): void => {
          response.off('drain', done)
          response.off('close', done)
          resolve()
        }
        response.on('drain', done)
        response.on('close', done)
      }),
    waiting: () => response.writableLength,
    end(last) {
      if (last) write(last)
      if (response.destroyed || response.writableEnded) return
      if (!gzip) return void response.end()
      const trailer = Buffer.alloc(8)
      trailer.writeUInt32LE(sum, 0)
      trailer.writeUInt32LE(length % 2 ** 32, 4)
      response.end(Buffer.concat([lastBlock, trailer]))
    },
    cut: () => void response.destroy(),
  }
}
