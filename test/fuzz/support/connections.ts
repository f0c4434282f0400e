import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { RawMutation, RawPlan } from './arbitraries.js'
import { build } from './plan.js'
import type { Scene } from './scene.js'
import { deadline, Violation, type Watch } from './watch.js'

/** Milliseconds that a connection is given to answer what may not be complete. */
const pause = 100

/**
 * Sends the bytes over a connection of their own: what no well-behaved HTTP library would. Then the sending side is closed,
 * and the server has to close its own.
 *
 * @throws {Violation}
 */
export async function sendRaw(scene: Scene, watch: Watch, plan: RawPlan): Promise<void> {
  const { bytes, mayRepeat } = bytesOf(scene, plan)
  const first = await watch.turns.together(() => exchange(scene.port, bytes, deadline))
  if (judge(watch, first, mayRepeat)) return
  // Nobody else's turn could come, or the server keeps it open: by the rule of every other answer.
  await watch.turns.alone(async () => {
    for (let attempt = 2; ; attempt++) {
      const allowed = await watch.allowance(scene.server)
      if (judge(watch, await exchange(scene.port, bytes, allowed), mayRepeat)) return
      if (attempt === 4) {
        throw new Violation(`the connection was left open for ${Math.round(allowed)} ms, four times in a row`)
      }
    }
  })
}

/**
 * @returns whether the server closed the connection in the time that it had
 * @throws {Violation}
 */
function judge(watch: Watch, { received, closed, milliseconds }: Exchange, mayRepeat: boolean): boolean {
  const statuses = [...received.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status))
  watch.count(statuses[0] ?? 'closed without an answer', 'connections')
  const wrong = statuses.find((status) => status >= 500)
  if (wrong !== undefined) throw new Violation(`the answer is ${wrong}: ${received.slice(0, 500)}`)
  if (!mayRepeat && watch.holdsSecret(received)) {
    throw new Violation(`a secret was sent back: ${received.slice(0, 800)}`)
  }
  if (!closed || milliseconds > deadline) watch.countLate(milliseconds)
  return closed
}

interface Exchange {
  readonly received: string
  readonly closed: boolean
  /** From when nothing more was sent. */
  readonly milliseconds: number
}

/** @param allowed milliseconds in which the server must close the connection */
async function exchange(port: number, bytes: Buffer, allowed: number): Promise<Exchange> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  const chunks: Buffer[] = []
  const over = new Promise<true>((resolve) => {
    socket.once('close', () => resolve(true))
    // A server that hangs up in the middle is right to.
    socket.on('error', () => socket.destroy())
  })
  const answered = new Promise<void>((resolve) => socket.once('data', () => resolve()))
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.on('end', () => socket.end())
  socket.write(bytes)
  await Promise.race([over, answered, delay(pause, undefined, { ref: false })])
  socket.end()
  const since = performance.now()
  const closed = await Promise.race([over, delay(allowed, false as const, { ref: false })])
  const milliseconds = performance.now() - since
  socket.destroy()
  return { received: Buffer.concat(chunks).toString('latin1'), closed, milliseconds }
}

function bytesOf(scene: Scene, { plan, raw }: RawPlan): { readonly bytes: Buffer; readonly mayRepeat: boolean } {
  const { method, url, headers, body, mayRepeat } = build(plan, scene.references(), scene.holdsSecret)
  const head = Object.entries({ ...headers, ...(body.length > 0 ? { 'content-length': String(body.length) } : {}) })
  let text = `${method} ${url} HTTP/1.1\r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  text += body.toString('latin1')
  for (const mutation of raw) text = mutate(text, mutation)
  return { bytes: Buffer.from(text, 'latin1'), mayRepeat }
}

function mutate(text: string, mutation: RawMutation): string {
  switch (mutation.kind) {
    case 'flip': {
      const at = mutation.at % Math.max(1, text.length)
      return text.slice(0, at) + String.fromCharCode((text.charCodeAt(at) ^ mutation.mask) & 0xff) + text.slice(at + 1)
    }
    case 'cut':
      return text.slice(0, mutation.length)
    case 'insert': {
      const at = mutation.at % (text.length + 1)
      return text.slice(0, at) + mutation.bytes + text.slice(at)
    }
    case 'replace':
      return text.replace(mutation.what, () => mutation.by)
    case 'head':
      return text.replace('\r\n', () => `\r\n${mutation.line}\r\n`)
    case 'chunked': {
      const end = text.indexOf('\r\n\r\n')
      const withoutLength = text.slice(0, end).replace(/\r\ncontent-length: \d+/, '')
      return `${withoutLength}\r\ntransfer-encoding: chunked\r\n\r\n${mutation.body}`
    }
    case 'again':
      return text.repeat(1 + mutation.times)
    case 'instead':
      return mutation.bytes
  }
}
