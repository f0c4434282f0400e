import t from 'tap'
import { givenMasterKeys, masterKey } from '../../src/platform/crypto/master-key.js'
import { openSecretKeys, type SecretKeys } from '../../src/secrets/index.js'
import { type Database, secretKeys } from '../../src/store/index.js'
import { openTestStore, type TestStore } from '../support/store.js'

const master = masterKey(Buffer.alloc(32, 7))

const open = ({ clock, random }: TestStore, db: Database, key = master): Promise<SecretKeys> =>
  openSecretKeys({ db, masterKeys: givenMasterKeys(key), clock, random })

t.test('the first start makes a key; processes that start together share it', async (t) => {
  const store = await openTestStore(t)
  const all = await Promise.all([store.db, store.another(), store.another(), store.db].map((db) => open(store, db)))
  const [first] = all
  t.equal((await secretKeys.list(store.db)).length, 1)
  for (const keys of all) {
    t.equal(keys.current.id, first?.current.id)
    t.same(keys.current.derive('client secret'), first?.current.derive('client secret'))
  }
  const again = await open(store, store.db)
  t.same(again.current.derive('form token'), first?.current.derive('form token'), 'and every later start')
  t.equal(again.find(again.current.id), again.current)
  t.equal(again.find('unknown'), undefined)
})

t.test('each purpose has a key of its own', async (t) => {
  const store = await openTestStore(t)
  const { current } = await open(store, store.db)
  const purposes = ['client secret', 'form token', 'failure counter'] as const
  t.equal(new Set(purposes.map((purpose) => current.derive(purpose).toString('hex'))).size, 3)
  for (const purpose of purposes) t.equal(current.derive(purpose).length, 32)
})

t.test('what rests is wrapped, with the id of the master key beside it', async (t) => {
  const store = await openTestStore(t)
  const { current } = await open(store, store.db)
  const [row] = await secretKeys.list(store.db)
  t.match(row, {
    id: current.id,
    purpose: 'hmac',
    masterKeyId: master.id,
    createdAt: store.now(),
    retiredAt: undefined,
  })
  t.equal(row?.wrapped.length, 12 + 16 + 32)

  await t.rejects(open(store, store.db, masterKey(Buffer.alloc(32, 8))), {
    name: 'WrongMasterKeyError',
    message: /MASTER_KEY_FILE/,
  })
  await store.sql('UPDATE secret_key SET id = $1', ['0123456789abcdef'])
  await t.rejects(open(store, store.db), 'a row under another name is no key')
})

t.test('the newest key is the current one, and older ones are found', async (t) => {
  const store = await openTestStore(t)
  const first = await open(store, store.db)
  store.clock.advance(60)
  const other = await openTestStore(t)
  other.random.bytes(1)
  other.clock.advance(60)
  await open(other, other.db)
  const [row] = await secretKeys.list(other.db)
  await secretKeys.create(store.db, row!)

  const keys = await open(store, store.db)
  t.equal(keys.current.id, row!.id)
  t.same(keys.find(first.current.id)?.derive('client secret'), first.current.derive('client secret'))
})
