import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { LightMyRequestResponse } from 'fastify'
import { send, type TestServer } from '../../support/server.js'
import type { Plan, Wire } from './plan.js'
import { Turns } from './turns.js'

/** Milliseconds in which every answer must be there. */
export const deadline = 1_000

/** Milliseconds after which nobody waits any more. */
const patience = 120_000

/** Something that must never happen, however bad the input. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

type Server = Pick<TestServer, 'app'>

/** What was answered, and when. */
export interface Sent {
  readonly reply: LightMyRequestResponse
  readonly milliseconds: number
  readonly isLate: boolean
}

/** What a round is made of. */
export type Part = 'requests' | 'connections' | 'documents' | 'sequences'

function increment(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}

/** Judges every answer and every log line, and counts. */
export class Watch {
  requests = 0
  readonly parts = new Map<string, number>()
  readonly recipes = new Map<string, number>()
  readonly mutations = new Map<string, number>()
  readonly statuses = new Map<string, number>()
  /** Milliseconds, of answers that came in time. */
  longest = 0
  /** Answers that took longer than they may, each of them, and came in time, or as late as anything else, when asked for alone. */
  late = 0
  /** Milliseconds of the longest of those. */
  latest = 0
  /** What no request could be blamed for when it happened: log lines, rejections. */
  readonly pending: string[] = []
  holdsSecret: (text: string) => boolean = () => false
  readonly turns = new Turns()
  readonly #deadline: number

  /** @param milliseconds in which every answer must be there */
  constructor(milliseconds = deadline) {
    this.#deadline = milliseconds
  }

  /** For the server's log. */
  readonly onLog = (line: string): void => {
    if (this.holdsSecret(line)) this.pending.push(`a secret is in a log line: ${line.slice(0, 500)}`)
    else if (/"level":(?:"error"|"fatal"|50|60)[,}]/.test(line))
      this.pending.push(`an error was logged: ${line.slice(0, 1500)}`)
  }

  /** Hears of rejections and exceptions that nobody handles. @returns how to stop hearing */
  listen(): () => void {
    const rejected = (reason: unknown): void => void this.pending.push(`unhandled: ${describe(reason)}`)
    process.on('unhandledRejection', rejected)
    process.on('uncaughtException', rejected)
    return () => {
      process.off('unhandledRejection', rejected)
      process.off('uncaughtException', rejected)
    }
  }

  /** @throws {Violation} for what was heard since the last time */
  settle(): void {
    const heard = this.pending.splice(0)
    if (heard.length > 0) throw new Violation(heard.slice(0, 5).join('\n'))
  }

  /**
   * Sends a request into the server and judges the answer. One that came too late is asked for again while nothing else
   * is under way. A harmless request before it says how busy the machine is: by ten times that it may be late. Each that
   * was late is counted as such, whatever became of the next.
   *
   * @throws {Violation}
   */
  async send(server: Server, wire: Wire, part: Part): Promise<LightMyRequestResponse | undefined> {
    const first = await this.turns.together(() => this.ask(server, wire, part))
    if (!first?.isLate) return first?.reply
    return this.turns.alone(() => this.#sendAgain(server, wire, part))
  }

  async #sendAgain(server: Server, wire: Wire, part: Part): Promise<LightMyRequestResponse | undefined> {
    for (let attempt = 2; ; attempt++) {
      const allowed = await this.allowance(server)
      const again = await this.ask(server, wire, part)
      if (!again || again.milliseconds <= allowed) return again?.reply
      if (attempt === 4) {
        throw new Violation(`an answer took ${Math.round(again.milliseconds)} ms, four times in a row`)
      }
    }
  }

  /**
   * Sends a request, and leaves to the caller to wait for its turn and to judge whether the answer is late.
   *
   * @throws {Violation} for the answer
   */
  async ask(server: Server, wire: Wire, part: Part): Promise<Sent | undefined> {
    const since = performance.now()
    const reply = await within(patience, inject(server, wire))
    const milliseconds = performance.now() - since
    if (!reply) return undefined
    this.count(reply.statusCode, part)
    this.judge(reply, wire)
    const isLate = milliseconds > this.#deadline
    if (isLate) this.countLate(milliseconds)
    else this.countInTime(milliseconds)
    return { reply, milliseconds, isLate }
  }

  /** Milliseconds that an answer may take on a machine that is as busy as this one now. */
  async allowance(server: Server): Promise<number> {
    return this.#deadline + 10 * (await busyness(server))
  }

  count(status: number | string, part: Part): void {
    this.requests++
    increment(this.statuses, String(status))
    increment(this.parts, part)
  }

  countInTime(milliseconds: number): void {
    this.longest = Math.max(this.longest, milliseconds)
  }

  countLate(milliseconds: number): void {
    this.late++
    this.latest = Math.max(this.latest, milliseconds)
  }

  /** Counts what a request is made of. */
  note({ recipe, mutations, strict }: Plan, raw: readonly { readonly kind: string }[] = []): void {
    increment(this.recipes, recipe)
    if (strict) increment(this.recipes, 'with the normal bounds on guessing')
    for (const { kind } of mutations) increment(this.mutations, kind)
    for (const { kind } of raw) increment(this.mutations, `bytes: ${kind}`)
    if (mutations.length + raw.length === 0) increment(this.mutations, 'none')
  }

  /** @throws {Violation} */
  judge({ statusCode, headers, body }: LightMyRequestResponse, { mayRepeat }: Pick<Wire, 'mayRepeat'>): void {
    if (statusCode >= 500) throw new Violation(`the answer is ${statusCode}: ${body.slice(0, 300)}`)
    if (statusCode < 200) throw new Violation(`the answer is ${statusCode}`)
    const head = Object.values(headers).flat().map(String)
    if (!mayRepeat && (this.holdsSecret(body) || this.holdsSecret(head.join('\n')))) {
      throw new Violation(`a secret was sent back: ${statusCode} ${JSON.stringify(headers)} ${body.slice(0, 500)}`)
    }
    if (head.some((value) => /[\r\n\0]/.test(value))) throw new Violation('a header holds a line break')
    if (String(headers['content-type']).startsWith('application/json') && body !== '') JSON.parse(body)
  }
}

/** @returns undefined where the request cannot be put into words: nothing was sent */
async function inject(server: Server, wire: Wire): Promise<LightMyRequestResponse | undefined> {
  const { url, headers, body, from } = wire
  try {
    new URL(url, 'http://localhost')
  } catch {
    return undefined
  }
  const method = wire.method as 'GET'
  return send(server.app, { method, url, headers: { ...headers }, payload: body, remoteAddress: from })
}

export async function within<Result>(milliseconds: number, work: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Violation(`no answer in ${milliseconds} ms`)), milliseconds)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Milliseconds of a request that only asks whether the database is there, once others have had their turn. */
async function busyness(server: Server): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 100))
  const since = performance.now()
  await server.app.inject({ method: 'GET', url: '/readyz' })
  return performance.now() - since
}

export function describe(reason: unknown): string {
  return reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)
}

export interface Memory {
  /** Bytes of the heap that are still used after everything that can be collected was. */
  readonly heap: number
  readonly resident: number
}

/** Collects what can be collected, and measures what is left. */
export async function measureMemory(): Promise<Memory> {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect === 'function') {
    for (let round = 0; round < 3; round++) {
      collect()
      // What waits for its turn to be let go.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed + external, resident: rss }
}
