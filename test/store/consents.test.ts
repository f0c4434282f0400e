import t from 'tap'
import { clients, consents, type Decision, dayBucket, grants, interactions } from '../../src/store/index.js'
import { addClient, addParty, addUser, newGrant, openTestStore, saveDecisions } from '../support/store.js'

const read: Decision = { resource: 'https://api.example.com', scope: 'read', granted: true }
const write: Decision = { ...read, scope: 'write', granted: false }
const profile: Decision = { resource: '', scope: 'profile', granted: true }

const sorted = (decisions: readonly Decision[]) => [...decisions].sort((a, b) => (a.scope < b.scope ? -1 : 1))

t.test('decisions are remembered per user, client, resource and scope; the last one stands', async (t) => {
  const store = await openTestStore(t)
  const [ada, eve] = [await addUser(store), await addUser(store)]
  const client = await addClient(store)
  const { clientId } = client
  await saveDecisions(store.db, ada.id, clientId, [write, read, profile], store.now())

  t.same(sorted(await consents.list(store.db, ada.id, client)), [profile, read, write])
  t.same(await consents.list(store.db, eve.id, client), [])
  t.same(await consents.list(store.db, ada.id, { clientId: 'another' }), [])

  await saveDecisions(
    store.db,
    ada.id,
    clientId,
    [
      { ...write, granted: true },
      { ...read, resource: 'https://b.example' },
    ],
    store.now(),
  )
  t.same(
    (await consents.list(store.db, ada.id, client))
      .map(({ resource, scope, granted }) => `${resource} ${scope} ${granted}`)
      .sort(),
    [
      ' profile true',
      'https://api.example.com read true',
      'https://api.example.com write true',
      'https://b.example read true',
    ],
  )
  await saveDecisions(store.db, ada.id, clientId, [], store.now())
})

t.test('what was decided before the user was revoked is asked again', async (t) => {
  const store = await openTestStore(t)
  const ada = await addUser(store)
  await saveDecisions(store.db, ada.id, 'c', [read], store.now())
  await store.sql('UPDATE user_account SET not_before = $2 WHERE id = $1', [ada.id, store.now()])
  t.same(await consents.list(store.db, ada.id, { clientId: 'c' }), [])
  store.clock.advance(1)
  await saveDecisions(store.db, ada.id, 'c', [write], store.now())
  t.same(await consents.list(store.db, ada.id, { clientId: 'c' }), [write])
})

/** Somebody at a client that a stranger describes, and what they decide about it as it was shown to them. */
async function openDescribed(t: Parameters<typeof openTestStore>[0], more: Parameters<typeof addClient>[1]) {
  const store = await openTestStore(t)
  const party = { ...(await addParty(store)), client: await addClient(store, { selfRegistered: true, ...more }) }
  const { clientId } = party.client
  const expiresAt = store.later(60)
  const bucket = dayBucket(expiresAt)
  return {
    store,
    clientId,
    shownNow: async () => (await clients.find(store.db, clientId))!.shownHash!,
    async decide(shownHash: Buffer | undefined) {
      const interaction = {
        ...{ bucket, idHash: store.random.bytes(32), browserHash: store.random.bytes(32), clientId, request: {} },
        ...{ createdAt: store.now(), expiresAt },
      }
      await interactions.create(store.db, interaction)
      return grants.create(store.db, {
        grant: newGrant(store, party),
        code: { bucket, hash: store.random.bytes(32), expiresAt },
        event: store.event('code.issued'),
        shownHash,
        answers: { interaction, decisions: [read], consentEvent: undefined },
      })
    },
    remembered: (shownHash?: Buffer) => consents.list(store.db, party.user.id, { clientId, shownHash }),
  }
}

for (const [what, before, after] of [
  [
    'a decision and a change of the document',
    { documentHash: Buffer.alloc(32, 1) },
    { documentHash: Buffer.alloc(32, 2) },
  ],
  ['a decision and a new name of a client that registered itself', {}, { clientName: 'Your bank' }],
] as const) {
  t.test(`attack 96, attack 98: ${what} that pass each other unseen: it is of the one before`, async (t) => {
    const { store, clientId, shownNow, decide, remembered } = await openDescribed(t, before)
    const shown = await shownNow()
    await store.another().transaction(async (tx) => {
      const stored = await clients.findForUpdate(tx, clientId)
      await clients.update(tx, { ...stored!, ...after })
      await consents.removeOfClient(tx, clientId)
      t.equal(await decide(shown), 'created', 'the change is not committed, and keeps nobody waiting')
    })
    const next = await shownNow()
    t.equal(next.equals(shown), false)
    t.same(await remembered(next), [], 'nobody saw the next one')
    t.same(await remembered(), [], 'nor is it of a client that an administrator vouches for')
    t.equal(await decide(shown), 'changed')
    t.equal(await decide(undefined), 'changed')
    t.equal(await decide(next), 'created')
    t.same(await remembered(next), [read], 'what is decided then takes its place')
    t.same(await remembered(shown), [])
  })
}

t.test('attack 98: all that users are shown of a client that registered itself stands in one hash', async (t) => {
  const { store, clientId, shownNow } = await openDescribed(t, {})
  const change = async (more: Parameters<typeof addClient>[1]) => {
    const before = await shownNow()
    await store.db.transaction(async (tx) => {
      await clients.update(tx, { ...(await clients.findForUpdate(tx, clientId))!, ...more })
    })
    return !before.equals(await shownNow())
  }
  const uri = 'https://app.example/page'
  for (const more of [
    ...[{ clientName: 'Your bank' }, { clientUri: uri }, { logoUri: uri }, { policyUri: uri }, { tosUri: uri }],
    ...[{ logoUri: undefined }, { tokenEndpointAuthMethod: 'none' }, { applicationType: 'native' as const }],
    ...['https://evil.example/cb', 'https://app.example:8443/cb', 'http://127.0.0.1/cb', 'com.example.app:/cb'].map(
      (other) => ({ redirectUris: ['https://app.example/cb', other] }),
    ),
    { redirectUris: ['https://evil.example?https://app.example/'] },
  ]) {
    t.equal(await change(more), true, JSON.stringify(more))
    t.equal(await change(more), false, 'the same again')
  }
  const two = ['https://b.example/cb', 'https://a.example/cb']
  await change({ redirectUris: two })
  t.equal(await change({ redirectUris: ['https://a.example/', ...two, 'https://b.example?x=/'] }), false, 'no new host')
  t.equal(
    await change({ contacts: ['a@app.example'], scope: ['read'] }),
    false,
    'what the page says of itself is no part',
  )

  const vouched = await addClient(store)
  t.equal((await clients.find(store.db, vouched.clientId))?.shownHash, undefined)
})

t.test('attack 98: a decision is about the destination that it was made for last, and about no other', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const { clientId } = party.client
  const [first, second] = ['https://accounts.google.com', 'https://evil.example']
  const expiresAt = store.later(60)
  const decide = async (destination: string | undefined, decisions: readonly Decision[]) => {
    const bucket = dayBucket(expiresAt)
    const interaction = {
      ...{ bucket, idHash: store.random.bytes(32), browserHash: store.random.bytes(32), clientId, request: {} },
      ...{ createdAt: store.now(), expiresAt },
    }
    await interactions.create(store.db, interaction)
    return grants.create(store.db, {
      grant: newGrant(store, party),
      code: { bucket, hash: store.random.bytes(32), expiresAt },
      event: store.event('code.issued'),
      answers: { interaction, decisions, destination, consentEvent: undefined },
    })
  }
  const remembered = async (destination?: string) =>
    sorted(await consents.list(store.db, party.user.id, { clientId, shownHash: undefined }, destination))

  t.equal(await decide(first, [read, write]), 'created')
  t.same(await remembered(first), [read, write])
  t.same(await remembered(second), [])
  t.same(await remembered(), [], 'nor is it about all of the client')

  t.equal(await decide(second, [{ ...write, granted: true }]), 'created')
  t.same(await remembered(first), [read], 'what was refused at one is not granted there by the other')
  t.same(await remembered(second), [{ ...write, granted: true }])

  // In one statement: each has its own.
  const both = [decide(first, [profile]), decide(second, [write])]
  t.same(await Promise.all(both), ['created', 'created'])
  t.same(await remembered(first), [profile, read])
  t.same(await remembered(second), [write])

  t.equal(await decide(undefined, [read]), 'created')
  t.same(await remembered(), [read])
  t.same(await remembered(first), [profile])
})
