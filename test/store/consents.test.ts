import t from 'tap'
import { consents, type Decision } from '../../src/store/index.js'
import { addClient, addUser, openTestStore, saveDecisions } from '../support/store.js'

const read: Decision = { resource: 'https://api.example.com', scope: 'read', granted: true }
const write: Decision = { ...read, scope: 'write', granted: false }
const profile: Decision = { resource: '', scope: 'profile', granted: true }

const sorted = (decisions: readonly Decision[]) => [...decisions].sort((a, b) => (a.scope < b.scope ? -1 : 1))

t.test('decisions are remembered per user, client, resource and scope; the last one stands', async (t) => {
  const store = await openTestStore(t)
  const [ada, eve] = [await addUser(store), await addUser(store)]
  const { clientId } = await addClient(store)
  await saveDecisions(store.db, ada.id, clientId, [write, read, profile], store.now())

  t.same(sorted(await consents.list(store.db, ada.id, clientId)), [profile, read, write])
  t.same(await consents.list(store.db, eve.id, clientId), [])
  t.same(await consents.list(store.db, ada.id, 'another'), [])

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
    (await consents.list(store.db, ada.id, clientId))
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
  t.same(await consents.list(store.db, ada.id, 'c'), [])
  store.clock.advance(1)
  await saveDecisions(store.db, ada.id, 'c', [write], store.now())
  t.same(await consents.list(store.db, ada.id, 'c'), [write])
})
