/** A module of a plan, with what of it is chosen. */
export interface Module {
  readonly testModule: string
  readonly variant: Readonly<Record<string, string>>
}

/** What came of a module. */
export interface Outcome extends Module {
  readonly id: string
  /** PASSED, WARNING, REVIEW, SKIPPED or FAILED; UNFINISHED where it waited for something that never came. */
  readonly result: string
  /** Each condition that warned or failed, with what it said. */
  readonly notes: readonly string[]
}

interface LogEntry {
  readonly src?: string
  readonly msg?: string
  readonly result?: string
}

/** Milliseconds between two looks at a module. */
const interval = 500

/** Milliseconds that one module may take. One of them waits for half a minute by itself. */
const patience = 150_000

/** The suite's API, as a development installation offers it: without a login. */
export class Suite {
  readonly #base: string

  constructor(base: string) {
    this.#base = base
  }

  async createPlan(name: string, variant: object, config: object): Promise<{ id: string; modules: readonly Module[] }> {
    const query = new URLSearchParams({ planName: name, variant: JSON.stringify(variant) })
    return this.#call('POST', `/api/plan?${query}`, config)
  }

  /** @param onConfigured done before a module goes on that waits for it */
  async run(planId: string, { testModule, variant }: Module, onConfigured: () => Promise<void>): Promise<Outcome> {
    const query = new URLSearchParams({ test: testModule, plan: planId, variant: JSON.stringify(variant) })
    const { id } = await this.#call<{ id: string }>('POST', `/api/runner?${query}`)
    const end = Date.now() + patience
    let isBegun = false
    for (;;) {
      const { status, result } = await this.#call<{ status: string; result?: string }>('GET', `/api/info/${id}`)
      if (status === 'FINISHED' || status === 'INTERRUPTED') {
        return { id, testModule, variant, result: result ?? status, notes: await this.#notes(id) }
      }
      if (status === 'CONFIGURED' && !isBegun) {
        await onConfigured()
        await this.#call('POST', `/api/runner/${id}`)
        isBegun = true
      }
      if (Date.now() > end) {
        const notes = await this.#notes(id)
        await this.#call('DELETE', `/api/runner/${id}`)
        return { id, testModule, variant, result: 'UNFINISHED', notes: [...notes, `it was ${status} to the end`] }
      }
      await new Promise((resolve) => setTimeout(resolve, interval))
    }
  }

  async #notes(id: string): Promise<readonly string[]> {
    const log = await this.#call<readonly LogEntry[]>('GET', `/api/log/${id}`)
    return log
      .filter(({ result }) => result === 'WARNING' || result === 'FAILURE')
      .map(({ src, msg, result }) => `${result} ${src}: ${msg}`)
  }

  async #call<Answer>(method: string, path: string, body?: object): Promise<Answer> {
    const reply = await fetch(this.#base + path, {
      method,
      headers: { 'Content-Type': 'application/json' },
      body: body && JSON.stringify(body),
    })
    const text = await reply.text()
    if (!reply.ok) throw new Error(`${method} ${path} was answered ${reply.status}: ${text.slice(0, 500)}`)
    return (text === '' ? undefined : JSON.parse(text)) as Answer
  }
}
