import type { Readable } from 'node:stream'
import { HttpError, ProblemError } from '../../http/index.js'
import { TemporarilyUnavailableError } from '../../oauth/index.js'
import { networkOf, siteOf } from '../../platform/network.js'
import { most } from './schemas.js'

/** A body on its way. */
interface Reading {
  readonly whole: Promise<Buffer>
  /** Nothing more of it is kept. */
  readonly stop: (error: Error) => void
}

/**
 * Reads the body of whoever has proved to be somebody.
 *
 * @throws {ProblemError} past the limit
 */
export function readBody(payload: Readable): Promise<Buffer> {
  return beginReading(payload, most.bytes).whole
}

/**
 * Reads bodies whose senders have proved nothing before these are whole. Each has its time, so many are read at once, and one
 * more pushes out the oldest of the network that has the most on their way: who sends slowly, or much, is in their own way
 * (attack 135), and a report that comes at once is through before. What is kept is `unprovedAtOnce` times `signedBytes`.
 *
 * @throws {ProblemError} past the limit
 * @throws {HttpError} 408, where it took too long
 * @throws {TemporarilyUnavailableError} where it was pushed out
 */
export function createUnprovedBodies(): (payload: Readable, ip: string) => Promise<Buffer> {
  /** The oldest first. */
  const underWay = new Map<Reading, string>()

  function makeRoom(): void {
    if (underWay.size < most.unprovedAtOnce) return
    const counts = new Map<string, number>()
    for (const network of underWay.values()) counts.set(network, (counts.get(network) ?? 0) + 1)
    const largest = Math.max(...counts.values())
    const [oldest] = [...underWay].find(([, network]) => counts.get(network) === largest) ?? []
    if (!oldest) return
    underWay.delete(oldest)
    const message = 'Other signed reports are being read. Try again soon.'
    oldest.stop(new TemporarilyUnavailableError(message, { reason: 'signed_reports', retryAfter: 2 }))
  }

  return async (payload, ip) => {
    makeRoom()
    const reading = beginReading(payload, most.signedBytes)
    underWay.set(reading, siteOf(ip) ?? networkOf(ip))
    const timer = setTimeout(() => {
      reading.stop(new HttpError(408, 'The request took too long to arrive.', { reason: 'body_slow' }))
    }, most.unprovedMilliseconds)
    try {
      return await reading.whole
    } finally {
      clearTimeout(timer)
      underWay.delete(reading)
    }
  }
}

function beginReading(payload: Readable, limit: number): Reading {
  let stop: Reading['stop'] = () => undefined
  const whole = new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const take = (chunk: Buffer): void => {
      length += chunk.length
      // One that comes in chunks says no length before.
      if (length > limit) stop(isTooLong(limit))
      else chunks.push(chunk)
    }
    stop = (error) => {
      payload.off('data', take)
      chunks.length = 0
      reject(error)
    }
    payload.on('data', take)
    payload.once('end', () => resolve(Buffer.concat(chunks)))
    payload.on('error', stop)
    payload.once('close', () => stop(new HttpError(400, 'The body is not whole.', { reason: 'body_cut' })))
  })
  return { whole, stop }
}

export function isTooLong(limit: number): ProblemError {
  const message = `The body is longer than ${limit / 1024} KiB: send the rest in another request.`
  return new ProblemError(message, { status: 413, kind: 'report-too-long', reason: 'report_too_long' })
}
