import { createPrivateKey, type JsonWebKey } from 'node:crypto'
import type { JWK } from 'jose'
import t from 'tap'
import { openIdSigningAlgs } from '../../src/clients/index.js'
import { InvalidClientMetadataError } from '../../src/oauth/index.js'
import { authorizationUrl } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { assertionClaims, assertionType, makeKey, signed } from '../support/client-keys.js'
import {
  printed,
  type VectorGroup,
  wycheproofCrypto,
  wycheproofJwe,
  wycheproofJwk,
  wycheproofJws,
} from '../support/jose-vectors.js'
import { createTestServer, type TestClient } from '../support/server.js'

// Published JWS and JWE, sent by a client that has registered the key: none is an assertion or a request object. That the key is
// one that would do is shown beside, by what it signs that is one. What the signatures are worth is
// test/unit/clients/key-vectors.test.ts.

const server = await createTestServer(t, { env: { FAILURES_PER_NETWORK: '100000', FAILURES_PER_CLIENT: '1000' } })
const browser = new TestBrowser(server)
const ours = makeKey()

interface Case {
  readonly name: string
  readonly keys: readonly unknown[]
  readonly secrets: readonly JWK[]
  readonly texts: readonly string[]
}

const asText = (jws: unknown): string => (typeof jws === 'string' ? jws : JSON.stringify(jws))
const keysOf = (one: VectorGroup['private']): readonly JWK[] => one.keys ?? [one]

const cases: readonly Case[] = [
  ...[wycheproofJws, wycheproofJwk, wycheproofCrypto].flatMap(({ testGroups }) =>
    testGroups.map((group) => ({
      name: group.comment,
      keys: group.public ? keysOf(group.public) : [],
      secrets: keysOf(group.private),
      texts: group.tests.map(({ jws }) => asText(jws)),
    })),
  ),
  ...printed.jws.map(({ section, jwk, compact }) => ({ name: section, keys: [jwk], secrets: [], texts: [compact] })),
  { name: 'what is encrypted', keys: [], secrets: [], texts: wycheproofJwe.map(({ jwe }) => asText(jwe)) },
]

/** @returns whether its own keys could be registered */
async function register(keys: readonly unknown[]): Promise<{ readonly client: TestClient; readonly isOwn: boolean }> {
  const metadata = {
    token_endpoint_auth_method: 'private_key_jwt',
    grant_types: ['authorization_code', 'client_credentials'],
    scope: 'openid',
  }
  try {
    return { client: await server.createClient({ ...metadata, jwks: { keys } }), isOwn: true }
  } catch (error) {
    if (!(error instanceof InvalidClientMetadataError)) throw error
    return { client: await server.createClient({ ...metadata, jwks: { keys: [ours.jwk] } }), isOwn: false }
  }
}

const prove = ({ clientId: client_id }: TestClient, client_assertion: string) =>
  server.post('/token', {
    ...{ grant_type: 'client_credentials', client_id },
    ...{ client_assertion_type: assertionType, client_assertion },
  })

const ask = (client: TestClient, request: string) =>
  browser.open(authorizationUrl(client, { request, scope: 'openid' }))

t.test('RFC 7523 §3, OIDC Core §6.1: no published JWS or JWE is an assertion or a request object', async (t) => {
  const taken = new Set<string>()
  for (const { name, keys, secrets, texts } of cases) {
    const { client, isOwn } = await register(keys)
    for (const [index, text] of texts.entries()) {
      const proved = await prove(client, text)
      t.match(proved.json(), { error: 'invalid_client' }, `${name} ${index}: as an assertion`)
      if (text === '') continue
      t.match((await ask(client, text)).answer, { error: 'invalid_request_object' }, `${name} ${index}: as a request`)
    }
    for (const secret of isOwn ? secrets : []) {
      const alg = openIdSigningAlgs.find((each) => each === secret.alg)
      if (alg === undefined || secret.use === 'enc' || secret.key_ops) continue
      const key = {
        alg,
        jwk: { kid: secret.kid },
        privateKey: createPrivateKey({ key: secret as JsonWebKey, format: 'jwk' }),
      }
      const good = await signed(key, assertionClaims(server, client.clientId))
      t.equal((await prove(client, good)).statusCode, 200, `${name}: an assertion by the same key`)
      const request = await signed(key, { client_id: client.clientId, response_type: 'code' })
      t.equal((await ask(client, request)).step, 'login', `${name}: a request by the same key`)
      taken.add(alg)
    }
  }
  t.ok(taken.has('ES256') && taken.has('RS256') && taken.has('PS256'), [...taken].join(' '))
})
