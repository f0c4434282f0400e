import { createLocalJWKSet, jwtVerify } from 'jose'
import type { Test } from 'tap'
import { createDelivery, type Delivery } from '../../src/jobs/index.js'
import { nameReceivers } from '../../src/protocol/revocation/index.js'
import { revoke } from '../../src/revocation/index.js'
import type { Received } from './receiver.js'
import { createTestServer, sql, type TestServer, testIssuer } from './server.js'
import { apiIdentifier, postAs, revokeAt } from './tokens.js'

export const by = { actor: 'operator' }
export const openid = 'https://schemas.openid.net/secevent'

/** A server that tells everything to these receivers. */
export async function openTelling(test: Test, urls: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const server = await createTestServer(test, { env: { REVOCATION_RECEIVERS: urls.join(' '), ...env } })
  const { ctx } = server
  await nameReceivers(ctx)
  const delivery = createDelivery(ctx)
  test.teardown(() => delivery.stop())
  return { server, ctx, delivery }
}

/** Delivers what is due, to the end. */
export async function deliver(delivery: Delivery): Promise<void> {
  await delivery.look()
  await delivery.idle()
}

/** A service's token, taken back by itself. */
export async function revokeToken(server: TestServer): Promise<string> {
  await server.createResource(apiIdentifier, 'read')
  const service = await server.createService('read')
  const reply = await postAs(server, service, '/token', { grant_type: 'client_credentials' })
  const token: string = reply.json().access_token
  if ((await revokeAt(server, service, token)).statusCode !== 200) throw new Error('not revoked')
  return token
}

/** Something to tell, whatever it is. */
export function endToken({ ctx }: TestServer): Promise<void> {
  const expiresAt = new Date(ctx.clock.now().getTime() + 600_000)
  const token = { jti: ctx.random.uuid(), clientId: 'service', audience: apiIdentifier, expiresAt }
  return revoke(ctx, { kind: 'token', ...token }, { ...by, reason: 'test' })
}

export const waiting = (server: TestServer) =>
  sql(server, 'SELECT destination, attempts, last_error, next_attempt_at FROM outbox ORDER BY destination, created_at')

/** What a receiver checks: RFC 8417 §2 and §4, and the signature by our JWKS. */
export async function verifyEvent(server: TestServer, url: string, { body }: Received) {
  const jwks = (await server.get('/jwks')).json()
  const { payload, protectedHeader } = await jwtVerify(body, createLocalJWKSet(jwks), {
    issuer: testIssuer,
    audience: url,
    typ: 'secevent+jwt',
    requiredClaims: ['iss', 'aud', 'iat', 'jti', 'txn', 'sub_id', 'events'],
    currentDate: server.clock.now(),
  })
  const events = Object.entries(payload['events'] as Record<string, Record<string, unknown>>)
  const [type = '', event = {}] = events[0] ?? []
  return { payload, header: protectedHeader, count: events.length, type, event }
}
