import { createOutbound, type Outbound, type OutboundAnswer } from '../../src/platform/outbound/index.js'

export const clientUrl = 'https://agent.example/client.json'

/** A document that nothing is wrong with. CIMD §4.1 */
export function documentOf(client_id: string, more: Readonly<Record<string, unknown>> = {}) {
  return { client_id, client_name: 'Agent', redirect_uris: ['https://app.example/cb'], ...more }
}

export interface TestDocuments {
  readonly outbound: Outbound
  /** Addresses, in the order in which they were asked for. */
  readonly asked: string[]
  /** What an address answers from now on; without a document: that there is none. */
  set(url: string, document?: unknown, answer?: Partial<OutboundAnswer>): void
}

/** Everybody out there, of whom nobody is really asked; what may be asked at all is decided as ever. */
export function createTestDocuments(): TestDocuments {
  const answers = new Map<string, OutboundAnswer>()
  const asked: string[] = []
  const real = createOutbound({ allow: [], resolve: async () => ['93.184.215.14'] })
  const missing: OutboundAnswer = { status: 404, headers: {}, body: Buffer.alloc(0) }
  return {
    asked,
    outbound: {
      ...real,
      async get(url) {
        asked.push(url)
        return answers.get(url) ?? missing
      },
    },
    set(url, document, answer = {}) {
      const body = Buffer.from(typeof document === 'string' ? document : JSON.stringify(document ?? {}))
      const headers = { 'content-type': 'application/json', ...answer.headers }
      answers.set(url, document === undefined ? missing : { status: 200, body, ...answer, headers })
    },
  }
}
