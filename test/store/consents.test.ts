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

t.test(
  'attack 96: a decision and a change of the document that pass each other unseen: it is of the one before',
  async (t) => {
    const store = await openTestStore(t)
    const [shown, next] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
    const party = { ...(await addParty(store)), client: await addClient(store, { documentHash: shown }) }
    const { clientId } = party.client
    const expiresAt = store.later(60)
    const decide = (documentHash: Buffer) => {
      const bucket = dayBucket(expiresAt)
      const interaction = {
        ...{ bucket, idHash: store.random.bytes(32), browserHash: store.random.bytes(32), clientId, request: {} },
        ...{ createdAt: store.now(), expiresAt },
      }
      return { interaction, grant: { ...newGrant(store, party) }, documentHash, bucket }
    }
    const create = async ({ interaction, grant, documentHash, bucket }: ReturnType<typeof decide>) => {
      await interactions.create(store.db, interaction)
      return grants.create(store.db, {
        grant,
        code: { bucket, hash: store.random.bytes(32), expiresAt },
        event: store.event('code.issued'),
        documentHash,
        answers: { interaction, decisions: [read], consentEvent: undefined },
      })
    }
    const remembered = (documentHash: Buffer) => consents.list(store.db, party.user.id, { clientId, documentHash })

    await store.another().transaction(async (tx) => {
      const stored = await clients.findForUpdate(tx, clientId)
      await clients.update(tx, { ...stored!, documentHash: next })
      await consents.removeOfClient(tx, clientId)
      t.equal(await create(decide(shown)), 'created', 'the change is not committed, and keeps nobody waiting')
    })
    t.same(await remembered(next), [], 'nobody saw the next document')
    t.same(await consents.list(store.db, party.user.id, { clientId }), [], 'nor is it of a client without one')
    t.equal(await create(decide(shown)), 'changed')
    t.equal(await create(decide(next)), 'created')
    t.same(await remembered(next), [read], 'what is decided then takes its place')
    t.same(await remembered(shown), [])
  },
)

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
    sorted(await consents.list(store.db, party.user.id, { clientId }, destination))

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
