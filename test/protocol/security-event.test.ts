import { createLocalJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { deleteClient, disableClient, enableClient, rotateSecret } from '../../src/clients/index.js'
import { disableUser, enableUser } from '../../src/identity/index.js'
import { createDelivery } from '../../src/jobs/index.js'
import { nameReceivers } from '../../src/protocol/revocation/index.js'
import { createRole, grantRole, withdrawRole } from '../../src/resources/index.js'
import { revoke } from '../../src/revocation/index.js'
import { openReceiver, type Received } from '../support/receiver.js'
import { testIssuer } from '../support/server.js'
import { by, deliver, openid, openTelling, revokeToken, verifyEvent, waiting } from '../support/telling.js'
import { apiIdentifier, claimsOf, introspect, openScene, postAs, revokeAt, tokensFor } from '../support/tokens.js'

t.test(
  'RFC 8935 §2.1: a revocation is sent to each receiver as a Security Event Token that it can verify',
  async (t) => {
    const [first, second] = [await openReceiver(t), await openReceiver(t, '/a?tenant=1')]
    const { server, delivery } = await openTelling(t, [first.url, second.url], {
      REVOCATION_RECEIVER_TOKENS: 'first-secret= -',
    })
    const token = await revokeToken(server)
    await deliver(delivery)

    const headers = { 'content-type': 'application/secevent+jwt', accept: 'application/json' }
    t.match(first.received, [
      { method: 'POST', path: '/events', headers: { ...headers, authorization: 'Bearer first-secret=' } },
    ])
    t.match(second.received, [{ method: 'POST', path: '/a?tenant=1', headers }])
    t.equal(second.received[0]?.headers.authorization, undefined, 'no credential of another')
    t.same(await waiting(server), [])

    const { jti, exp } = claimsOf(token)
    const seen: unknown[] = []
    for (const { url, received } of [first, second]) {
      const { payload, count, type, event } = await verifyEvent(server, url, received[0]!)
      t.equal(count, 1, 'RFC 8417 §2.2: one event')
      t.equal(type, `${openid}/oauth/event-type/token-revoked`)
      t.same(payload['sub_id'], { format: 'jwt_id', iss: testIssuer, jti })
      const now = Math.floor(server.clock.now().getTime() / 1000)
      t.match(event, { event_timestamp: now, revocation: { kind: 'token', id: jti, position: '1' } })
      t.ok((event['revocation'] as { exp: number }).exp > (exp as number), 'remembered as long as the token could live')
      t.equal(payload.iat, now)
      t.same(
        Object.keys(payload).sort(),
        ['aud', 'events', 'iat', 'iss', 'jti', 'sub_id', 'txn'],
        'neither sub nor exp',
      )
      seen.push(payload.jti, payload['txn'])
    }
    const [event] = await server.audit('token.revoked')
    t.same([seen[1], seen[3]], [event?.id, event?.id], 'txn is the audit event')
    t.not(seen[0], seen[2], 'a jti is of one token')
  },
)

t.test('every kind of revocation has its event, and its entry is the one of the feed', async (t) => {
  const receiver = await openReceiver(t)
  const scene = await openScene(t, { env: { REVOCATION_RECEIVERS: receiver.url } })
  const { server, client, user } = scene
  const { ctx } = server
  await nameReceivers(ctx)
  const delivery = createDelivery(ctx)
  const { issued } = await tokensFor(scene)
  const { clientId } = client
  const [account, iss] = [{ format: 'iss_sub', iss: testIssuer, sub: user.id }, testIssuer]
  const cause = { ...by, reason: 'test' }
  const nbf = Math.floor(server.clock.now().getTime() / 1000)
  const opaque = (id: string) => ({ format: 'opaque', id })
  const kid = ctx.keys.kidOf('ES256')
  await createRole(ctx, { resource: apiIdentifier, name: 'reader', scope: ['read'] }, by)
  await grantRole(ctx, apiIdentifier, 'reader', { kind: 'user', holder: user.id }, by)
  const owner = { kind: 'user', id: user.id } as const
  const apiKey = { kind: 'api_key', id: '0kq3GZb7yXw9TfLm', owner, resources: [] } as const
  const grant = { bucket: 0, clientId, userId: user.id, resources: [] }

  const cases: readonly (readonly [
    name: string,
    act: () => Promise<unknown>,
    type: string,
    subject: object,
    entry: object,
  ])[] = [
    [
      'a grant',
      () => revoke(ctx, { kind: 'grant', id: issued.grantId, ...grant }, cause),
      `${iss}/event-type/grant-revoked`,
      opaque(issued.grantId),
      { kind: 'grant', id: issued.grantId, nbf: undefined },
    ],
    [
      'a session',
      () => revoke(ctx, { kind: 'session', id: issued.sid, bucket: 0, userId: user.id }, cause),
      `${openid}/caep/event-type/session-revoked`,
      opaque(issued.sid),
      { kind: 'session', id: issued.sid, nbf: undefined },
    ],
    [
      'a user',
      () => revoke(ctx, { kind: 'user', userId: user.id }, cause),
      `${openid}/caep/event-type/session-revoked`,
      account,
      { kind: 'user', id: user.id, nbf },
    ],
    [
      'a user who is disabled',
      () => disableUser(ctx, user.id, by),
      `${openid}/risc/event-type/account-disabled`,
      account,
      { kind: 'user', id: user.id, nbf: undefined, exp: undefined },
    ],
    [
      'and enabled again',
      () => enableUser(ctx, user.id, by),
      `${openid}/risc/event-type/account-enabled`,
      account,
      { kind: 'user', id: user.id, nbf },
    ],
    [
      'a client',
      () => revoke(ctx, { kind: 'client', clientId }, cause),
      `${iss}/event-type/client-revoked`,
      opaque(clientId),
      { kind: 'client', id: clientId, nbf },
    ],
    [
      'a client that is disabled',
      () => disableClient(ctx, clientId, by),
      `${iss}/event-type/client-disabled`,
      opaque(clientId),
      { kind: 'client', id: clientId, nbf: undefined, exp: undefined },
    ],
    [
      'and enabled again',
      () => enableClient(ctx, clientId, by),
      `${iss}/event-type/client-enabled`,
      opaque(clientId),
      { kind: 'client', id: clientId, nbf },
    ],
    [
      'a secret of its',
      () => rotateSecret(ctx, clientId, { by }),
      `${iss}/event-type/client-secret-changed`,
      opaque(clientId),
      { kind: 'client_secret', id: clientId, nbf },
    ],
    [
      'and deleted',
      () => deleteClient(ctx, clientId, by),
      `${iss}/event-type/client-disabled`,
      opaque(clientId),
      { kind: 'client', id: clientId, nbf: undefined },
    ],
    [
      'a role',
      () => withdrawRole(ctx, apiIdentifier, 'reader', { kind: 'user', holder: user.id }, by),
      `${iss}/event-type/role-withdrawn`,
      account,
      { kind: 'role', id: user.id, audience: apiIdentifier, nbf },
    ],
    [
      'an API key that lives on with less',
      () => revoke(ctx, { ...apiKey, lives: true }, cause),
      `${iss}/event-type/api-key-changed`,
      opaque(apiKey.id),
      { kind: 'api_key', id: apiKey.id, nbf },
    ],
    [
      'an API key',
      () => revoke(ctx, apiKey, cause),
      `${iss}/event-type/api-key-revoked`,
      opaque(apiKey.id),
      { kind: 'api_key', id: apiKey.id, nbf: undefined },
    ],
    [
      'a signing key, by the key that takes its place',
      () => ctx.keys.end([kid], by),
      `${iss}/event-type/key-revoked`,
      opaque(kid),
      { kind: 'key', id: kid, nbf: undefined, exp: undefined },
    ],
  ]
  let position = 0
  for (const [name, act, type, subject, entry] of cases) {
    const before = receiver.received.length
    await act()
    await deliver(delivery)
    t.equal(receiver.received.length, before + 1, `${name}: one message`)
    const found = await verifyEvent(server, receiver.url, receiver.received[before]!)
    t.equal(found.type, type, name)
    t.same(found.payload['sub_id'], subject, name)
    const told = found.event['revocation'] as Record<string, unknown>
    for (const [member, value] of Object.entries(entry)) t.equal(told[member], value, `${name}: ${member}`)
    const allowed = ['kind', 'id', 'nbf', 'exp', 'audience', 'position']
    t.same(
      Object.keys(told).filter((member) => !allowed.includes(member)),
      [],
      `${name}: nothing else of anybody`,
    )
    t.ok(Number(told['position']) > position, `${name}: later than what was before`)
    position = Number(told['position'])
  }
})

t.test('attack 77: a Security Event Token is no access token, and an access token is none', async (t) => {
  const receiver = await openReceiver(t)
  // Worst of all: the receiver is called like the API.
  const { server, delivery } = await openTelling(t, [receiver.url])
  await revokeToken(server)
  const api = await server.createResource(receiver.url, 'read')
  const service = await server.createService('read')
  const form = { grant_type: 'client_credentials', scope: 'read', resource: receiver.url }
  const accessToken: string = (await postAs(server, service, '/token', form)).json().access_token
  t.match(await introspect(server, api, accessToken), { active: true, aud: receiver.url })
  await deliver(delivery)
  const [{ body }] = receiver.received as readonly [Received]

  t.same(await introspect(server, api, body), { active: false })
  t.same(await introspect(server, service, body), { active: false })
  const feed = await server.get('/revocations', { authorization: `Bearer ${body}` })
  t.equal(feed.statusCode, 401)
  const size = server.ctx.revocations.size()
  t.equal((await revokeAt(server, service, body)).statusCode, 200)
  t.equal(server.ctx.revocations.size(), size, 'nothing comes of revoking it')

  const jwks = createLocalJWKSet((await server.get('/jwks')).json())
  const currentDate = server.clock.now()
  const options = { issuer: testIssuer, audience: receiver.url, currentDate }
  await t.resolves(jwtVerify(accessToken, jwks, options), 'issuer, audience and key are the same')
  await t.rejects(jwtVerify(accessToken, jwks, { ...options, typ: 'secevent+jwt' }), { message: /"typ"/ })
  await t.rejects(jwtVerify(body, jwks, { ...options, typ: 'at+jwt' }), { message: /"typ"/ })
  await t.rejects(jwtVerify(body, jwks, { ...options, requiredClaims: ['exp'] }), { message: /"exp"/ }, 'RFC 9068 §2.2')
})
