import t from 'tap'
import { clients, registrationAnswers, type StoredClient } from '../../src/store/index.js'
import { addClient, openTestStore, type TestStore } from '../support/store.js'

/** A client that has changed its registration, and was told by an answer that nobody heard yet. */
async function addUnheard(store: TestStore): Promise<{ client: StoredClient; previous: Buffer; last: Buffer }> {
  const [previous, last] = [store.random.bytes(32), store.random.bytes(32)]
  const client = await addClient(store, { selfRegistered: true, registrationAccessHash: last })
  const { clientId } = client
  const answer = { clientId, previousHash: previous, currentHash: last, answer: Buffer.from('sealed') }
  await registrationAnswers.put(store.db, answer)
  return { client, previous, last }
}

t.test('an answer is found by the token before, until the token that it told was shown', async (t) => {
  const store = await openTestStore(t)
  const { db } = store
  const { client, previous, last } = await addUnheard(store)
  const find = (hash: Buffer, clientId = client.clientId) => registrationAnswers.find(db, clientId, hash)
  t.same(await find(previous), Buffer.from('sealed'))
  t.same(
    await db.transaction((tx) => registrationAnswers.findForUpdate(tx, client.clientId, previous)),
    await find(previous),
  )
  t.equal(await find(last), undefined)
  t.equal(await find(previous, (await addUnheard(store)).client.clientId), undefined)

  t.equal(await registrationAnswers.remove(db, client.clientId, previous), false, 'the token before ends nothing')
  t.equal(await registrationAnswers.remove(db, client.clientId, last), true)
  t.equal(await registrationAnswers.remove(db, client.clientId, last), false)
  t.equal(await find(previous), undefined)
})

t.test('the next answer takes the place of the one before', async (t) => {
  const store = await openTestStore(t)
  const { db } = store
  const { client, previous, last } = await addUnheard(store)
  const { clientId } = client
  const next = store.random.bytes(32)
  await db.transaction(async (tx) => {
    t.equal(
      await clients.rotateRegistrationAccess(tx, clientId, previous, next),
      false,
      'the token before is not the last',
    )
    t.equal(await clients.rotateRegistrationAccess(tx, clientId, last, next), true)
    const answer = { clientId, previousHash: last, currentHash: next, answer: Buffer.from('next') }
    await registrationAnswers.put(tx, answer)
  })
  t.equal(await registrationAnswers.find(db, clientId, previous), undefined)
  t.same(await registrationAnswers.find(db, clientId, last), Buffer.from('next'))
  t.equal(await registrationAnswers.remove(db, clientId, last), false)
})

t.test('an answer counts no more where the token was replaced without it, nor where the client is gone', async (t) => {
  const store = await openTestStore(t)
  const { db } = store
  const { client, previous } = await addUnheard(store)
  const gone = await addUnheard(store)
  await clients.update(db, { ...client, registrationAccessHash: store.random.bytes(32) })
  t.equal(await registrationAnswers.find(db, client.clientId, previous), undefined)
  await db.transaction((tx) => clients.remove(tx, gone.client.clientId))
  t.equal(await registrationAnswers.find(db, gone.client.clientId, gone.previous), undefined)
  t.equal((await store.sql('SELECT FROM registration_answer')).length, 1)
})

t.test('of 200 that show the token at once, from two processes, exactly one is the first', async (t) => {
  const store = await openTestStore(t)
  const pools = [store.db, store.another()]
  const { client, last } = await addUnheard(store)
  const first = await Promise.all(
    Array.from({ length: 200 }, (_, n) => registrationAnswers.remove(pools[n % 2]!, client.clientId, last)),
  )
  t.equal(first.filter(Boolean).length, 1)
})

t.test('a first use waits for a change by the token before, and ends what that leaves', async (t) => {
  const store = await openTestStore(t)
  const { db } = store
  const { client, previous, last } = await addUnheard(store)
  const { clientId } = client
  let using: Promise<boolean> | undefined
  await db.transaction(async (tx) => {
    t.ok(await registrationAnswers.findForUpdate(tx, clientId, previous))
    using = registrationAnswers.remove(db, clientId, last)
    const again = { clientId, previousHash: previous, currentHash: last, answer: Buffer.from('again') }
    await registrationAnswers.put(tx, again)
  })
  t.equal(await using, true)
  t.equal(await registrationAnswers.find(db, clientId, previous), undefined)
})

t.test('of two at once that give a client its first secret one does', async (t) => {
  const store = await openTestStore(t)
  const { clientId } = await addClient(store)
  const secret = () => {
    const hash = store.random.bytes(32)
    return { id: store.random.uuid(), method: 'hmac-sha256', hash, keyId: 'k', createdAt: store.now() } as const
  }
  const given = await Promise.all(
    Array.from({ length: 8 }, () =>
      store.db.transaction(async (tx) => {
        await clients.findForUpdate(tx, clientId)
        return clients.addFirstSecret(tx, clientId, secret())
      }),
    ),
  )
  t.equal(given.filter(Boolean).length, 1)
  t.match((await clients.find(store.db, clientId))?.secrets, [
    { method: 'hmac-sha256', keyId: 'k', expiresAt: undefined },
  ])
})
