import { createOutbound, type Outbound, type OutboundAnswer } from '../../src/platform/outbound/index.js'
import { authorizationUrl, redirectUri } from './authorization.js'
import { TestBrowser } from './browser.js'
import { verifier } from './grants.js'
import { createTestServer, type Owner, type TestClient } from './server.js'

type Named = Pick<TestClient, 'clientId'>

export const clientUrl = 'https://agent.example/client.json'

/** A document that nothing is wrong with. CIMD §4.1 */
export function documentOf(client_id: string, more: Readonly<Record<string, unknown>> = {}) {
  return { client_id, client_name: 'Agent', redirect_uris: ['https://app.example/cb'], ...more }
}

export interface TestDocuments {
  readonly outbound: Outbound
  /** Addresses, in the order in which they were asked for. */
  readonly asked: string[]
  /** Awaited before each answer; where it throws, there is none. */
  meanwhile: (url: string) => Promise<void>
  /** What an address answers from now on; without a document: that there is none. */
  set(url: string, document?: unknown, answer?: Partial<OutboundAnswer>): void
  /** A client of its own. */
  publish(more?: Readonly<Record<string, unknown>>, headers?: Readonly<Record<string, string>>): Named
}

/** Everybody out there, of whom nobody is really asked; what may be asked at all is decided as ever. */
export function createTestDocuments(): TestDocuments {
  const answers = new Map<string, OutboundAnswer>()
  const asked: string[] = []
  const real = createOutbound({ allow: [], resolve: async () => ['93.184.215.14'] })
  const missing: OutboundAnswer = { status: 404, headers: {}, body: Buffer.alloc(0) }
  let published = 0
  const documents: TestDocuments = {
    asked,
    meanwhile: async () => undefined,
    outbound: {
      ...real,
      async get(url) {
        asked.push(url)
        await documents.meanwhile(url)
        return answers.get(url) ?? missing
      },
    },
    set(url, document, answer = {}) {
      const body = Buffer.from(typeof document === 'string' ? document : JSON.stringify(document ?? {}))
      const headers = { 'content-type': 'application/json', ...answer.headers }
      answers.set(url, document === undefined ? missing : { status: 200, body, ...answer, headers })
    },
    publish(more = {}, headers = {}) {
      const clientId = `https://agent.example/${++published}/client.json`
      documents.set(clientId, documentOf(clientId, more), { headers })
      return { clientId }
    },
  }
  return documents
}

/** A server that reads documents, a user, and what a client with one does there. */
export async function createDocumentScene(t: Owner) {
  const env = { CLIENT_ID_METADATA_DOCUMENTS: 'on', REGISTRATION_QUOTA: '1000' }
  const asked = { scope: 'openid' }
  const documents = createTestDocuments()
  const server = await createTestServer(t, { env, outbound: documents.outbound })
  const user = await server.createUser()
  return {
    ...{ env, asked, documents, server, user, publish: documents.publish.bind(documents) },
    open: (client: Named, more: object = {}) =>
      new TestBrowser(server).open(authorizationUrl(client, { ...asked, ...more })),
    /** How often its document was asked for. */
    readings: ({ clientId }: Named) => documents.asked.filter((url) => url === clientId).length,
    /** A form to /token with which nothing is wrong. */
    redeem: (clientId: string, code = '', more: Readonly<Record<string, string>> = {}) =>
      server.post('/token', {
        grant_type: 'authorization_code',
        client_id: clientId,
        code,
        code_verifier: verifier,
        redirect_uri: redirectUri,
        ...more,
      }),
  }
}
