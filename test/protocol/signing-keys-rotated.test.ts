import t from 'tap'
import {
  type CreatedApiKey,
  createApiKey,
  endApiKey,
  endApiKeys,
  findApiKey,
  rotateApiKey,
} from '../../src/api-keys/index.js'
import { apiKeys } from '../../src/store/index.js'
import { atAccount } from '../support/account.js'
import { openKeyScene } from '../support/api-keys.js'
import { newPublicJwk } from '../support/key-pairs.js'
import { refused } from '../support/refused.js'
import { introspect } from '../support/tokens.js'

// A signing key whose successor had the same key pair would live on for whoever has its private half: after a rotation as well
// as after an end that was meant to be one.

const { server, api, ada, root, service, call, make } = await openKeyScene(t)
const { ctx, clock } = server
const by = { actor: 'operator' }
const cause = { ...by, reason: 'leaked' }
const owner = { kind: 'user', id: ada.id } as const

const makeSigner = (publicJwk = newPublicJwk(), more: { readonly prefix?: string } = {}): Promise<CreatedApiKey> =>
  createApiKey(ctx, { owner, name: 'Signer', scope: ['read'], kind: 'signing', publicJwk, ...more }, by)
const hint = 'urn:ostiary:params:oauth:token-type:api-key-id'
async function isActive(id: string): Promise<boolean> {
  const form = { token: id, token_type_hint: hint }
  return (await server.post('/introspect', form, { authorization: api.basic })).json().active
}

t.test('attack 116: a signing key is rotated to another key pair alone', async (t) => {
  const first = newPublicJwk()
  const { key } = await makeSigner(first)
  await refused(t, rotateApiKey(ctx, key.id, { by }), /another key pair: give the public key of a new one/)
  await refused(t, rotateApiKey(ctx, key.id, { publicJwk: first, by }), /make a new key pair/)
  await refused(t, rotateApiKey(ctx, key.id, { publicJwk: { ...first, kid: 'other' }, by }), /make a new key pair/)
  await refused(t, rotateApiKey(ctx, key.id, { publicJwk: { ...newPublicJwk(), d: 'x' }, by }), /private half/)
  t.match(await findApiKey(ctx, key.id), { successor: undefined }, 'what was refused changed nothing')

  const second = newPublicJwk()
  const rotated = await rotateApiKey(ctx, key.id, { publicJwk: second, overlap: 60, by })
  t.match(rotated, { text: undefined, key: { kind: 'signing', publicJwk: second }, previous: { id: key.id } })
  t.same([await isActive(key.id), await isActive(rotated.key.id)], [true, true])
  clock.advance(60)
  t.same([await isActive(key.id), await isActive(rotated.key.id)], [false, true])

  for (const publicJwk of [first, second]) {
    await refused(t, rotateApiKey(ctx, rotated.key.id, { publicJwk, by }), /make a new key pair/)
  }
  const third = await rotateApiKey(ctx, rotated.key.id, { publicJwk: newPublicJwk(), overlap: 0, by })
  await refused(t, rotateApiKey(ctx, third.key.id, { publicJwk: first, by }), /make a new key pair/)
  const secret = await createApiKey(ctx, { owner, name: 'Secret', scope: ['read'] }, by)
  await refused(t, rotateApiKey(ctx, secret.key.id, { publicJwk: newPublicJwk(), by }), /Only a signing key/)
})

t.test('RFC 7638 §3: the key of before is known in whatever way its row writes it', async (t) => {
  const jwk = newPublicJwk()
  // The unused bits of the last character: what a release before may have registered.
  const last = jwk.x.at(-1)!
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const x = `${jwk.x.slice(0, -1)}${alphabet[alphabet.indexOf(last) + 1]}`
  const { key } = await makeSigner()
  const id = 'written0another0'
  await apiKeys.createAll(ctx.db, [{ ...key, id, publicJwk: { ...jwk, x } }])
  await refused(t, rotateApiKey(ctx, id, { publicJwk: jwk, by }), /make a new key pair/)
  await refused(t, rotateApiKey(ctx, id, { publicJwk: { ...jwk, x }, by }), /Ed25519 public key/)
})

t.test('RFC 8032 §5.1.3: a key under which anybody can sign is not registered', async (t) => {
  const { key } = await makeSigner()
  for (const hex of [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    `ec${'ff'.repeat(30)}7f`,
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
    'ff'.repeat(32),
  ]) {
    const publicJwk = { ...newPublicJwk(), x: Buffer.from(hex, 'hex').toString('base64url') }
    await refused(t, makeSigner(publicJwk), /anybody could make up signatures/)
    await refused(t, rotateApiKey(ctx, key.id, { publicJwk, by }), /anybody could make up signatures/)
    const body = { name: 'x', scope: 'read', kind: 'signing', jwk: publicJwk }
    const reply = await call('POST', '/api-keys', { token: ada.token, body })
    t.match([reply.statusCode, reply.json()], [400, { errors: [{ pointer: '/jwk' }] }])
  }
})

t.test('of two rotations to different key pairs at once one is done', async (t) => {
  const { key } = await makeSigner()
  const done = await Promise.allSettled(
    [newPublicJwk(), newPublicJwk()].map((publicJwk) => rotateApiKey(ctx, key.id, { publicJwk, by })),
  )
  t.same(done.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
})

t.test('attack 116: what ends in an emergency gets no successor with the key pair that somebody has', async (t) => {
  const { key } = await makeSigner()
  t.match(await endApiKey(ctx, key.id, { cause, replace: true }), { successors: [], needKeyPair: [key.id] })
  t.match(await findApiKey(ctx, key.id), { successor: undefined, endReason: 'leaked' })

  const [signer, secret] = [
    await makeSigner(newPublicJwk(), { prefix: 'mixed' }),
    await createApiKey(ctx, { owner, name: 'Secret', scope: ['read'], prefix: 'mixed' }, by),
  ]
  const set = { kind: 'prefix', prefix: 'mixed' } as const
  const ended = await endApiKeys(ctx, set, { cause, replace: true })
  t.match(ended, { isComplete: true, successors: { length: 1 }, needKeyPair: [signer.key.id] })
  t.equal(ended.successors[0]?.previous, secret.key.id)
  t.same(await isActive(signer.key.id), false)
  const live = await apiKeys.list(ctx.db, { owner, liveAt: clock.now() })
  t.notOk(live.some(({ publicJwk }) => publicJwk?.['x'] === signer.key.publicJwk?.['x']))

  const events = await server.audit('api_keys.replaced')
  t.same(
    new Map(events.map(({ detail = {} }) => [detail['keys'], detail['need_key_pair']])),
    new Map([
      [0, [key.id]],
      [1, [signer.key.id]],
    ]),
  )
})

t.test('by HTTP: jwk in the body, and what ended without a successor in the answer', async (t) => {
  const made = await make(ada.token, { kind: 'signing', jwk: newPublicJwk() })
  const rotate = (body: unknown, token = ada.token) =>
    call('POST', `/api-keys/${made.id}/rotate`, { token, ...(body === undefined ? {} : { body }) })
  for (const body of [undefined, {}, { overlap: 60 }, { jwk: made['jwk'] }]) {
    const reply = await rotate(body)
    t.match(
      [reply.statusCode, reply.json()],
      [400, { type: 'urn:ostiary:problem:invalid-value', errors: [{ pointer: '/jwk' }] }],
    )
  }
  const jwk = newPublicJwk()
  t.match((await rotate({ jwk })).json(), { kind: 'signing', jwk, previous: { id: made.id } })
  t.equal((await rotate({ jwk: newPublicJwk() })).statusCode, 409)
  const plain = await make(ada.token)
  const path = `/api-keys/${plain.id}/rotate`
  t.equal((await call('POST', path, { token: ada.token, body: { jwk: newPublicJwk() } })).statusCode, 400)

  const mine = await make(service.token, { kind: 'signing', jwk: newPublicJwk() })
  const body = { owner: { kind: 'client', id: service.id }, replace: true }
  const reply = await call('POST', '/api-keys/revoke', { token: root.token, body })
  t.match(reply.json(), { ended: [mine.id], successors: [], need_key_pair: [mine.id], complete: true })
  t.match(await introspect(server, api, mine.id), { active: false })
})

t.test('/account says where a signing key is rotated, and rotates none', async (t) => {
  const bob = await server.createUser('pages@example.com', 'correct horse battery')
  const request = { owner: { kind: 'user', id: bob.id }, name: 'Signer', scope: ['read'], kind: 'signing' } as const
  const { key } = await createApiKey(ctx, { ...request, publicJwk: newPublicJwk() }, by)
  const secret = await createApiKey(ctx, { ...request, kind: 'secret' }, by)
  const browser = await atAccount(server, bob)
  const page = await browser.open(`/account/api-keys/${key.id}/rotate`)
  t.match(page.text, new RegExp(`signing key.*new key pair.*POST /api-keys/${key.id}/rotate.*--public-key FILE`))
  t.notMatch(page.html, /id="rotate-key"/)
  // The form of another key, sent to this address with the token of this one's page.
  const form = (await browser.open(`/account/api-keys/${secret.key.id}/rotate`)).form('rotate-key')
  const sent = await browser.post(`/account/api-keys/${key.id}/rotate`, form.form)
  t.ok(sent.status >= 400)
  t.match(await findApiKey(ctx, key.id), { successor: undefined })
})
