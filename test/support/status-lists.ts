import { type TestServer, testIssuer } from './server.js'
import { readStatusListToken, referenceOf, statusAt } from './status-list-decoder.js'
import { claimsOf } from './tokens.js'

/** The path of a list's address, for a server that runs in this process. */
export function pathOf(uri: string): string {
  return new URL(uri).pathname
}

/** A verifier that knows nothing but the tokens it is given and what the server publishes. */
export function createStatusVerifier(server: TestServer) {
  const lists = new Map<string, ReturnType<typeof readStatusListToken>>()

  async function fetchList(uri: string) {
    const reply = await server.get(pathOf(uri), { accept: 'application/statuslist+jwt' })
    if (reply.statusCode !== 200) throw new Error(`${uri} is answered by ${reply.statusCode}`)
    const jwks = (await server.get('/jwks')).json()
    return readStatusListToken(reply.body, { jwks, issuer: testIssuer, uri, now: server.clock.now() })
  }

  return {
    /** @returns 0 for VALID, 1 for INVALID. Each list is fetched once. */
    async statusOf(jwt: string): Promise<number> {
      const { idx, uri } = referenceOf(claimsOf(jwt))
      const list = lists.get(uri) ?? fetchList(uri)
      lists.set(uri, list)
      return statusAt((await list).list, idx)
    },
    /** As a verifier does when the `ttl` is over. */
    forget: () => lists.clear(),
    lists: () => [...lists.keys()],
  }
}
