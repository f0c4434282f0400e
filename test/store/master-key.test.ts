import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadConfig } from '../../src/platform/config/index.js'
import {
  givenMasterKeys,
  type MasterKeys,
  masterKey,
  openMasterKeyFile,
  openMasterKeyFiles,
} from '../../src/platform/crypto/master-key.js'
import { openSecretKeys, rotateMasterKey } from '../../src/secrets/index.js'
import { wrappedColumns } from '../../src/store/wrapped-keys.js'
import { createKeyRing } from '../../src/tokens/index.js'
import { openTestStore, type TestStore } from '../support/store.js'

const { config } = loadConfig({ env: {} })
const by = { actor: 'operator' }
const old = masterKey(Buffer.alloc(32, 7))
const next = masterKey(Buffer.alloc(32, 8))

async function openKeys(store: TestStore, masterKeys: MasterKeys, onUnopened?: (kid: string) => void) {
  const { clock, random, db } = store
  const secrets = await openSecretKeys({ db, masterKeys, clock, random })
  const ring = createKeyRing({ db, masterKeys, clock, random, config, longestToken: 3600, onUnopened })
  await ring.refresh()
  await ring.ensure(['ES256', 'EdDSA'])
  return { secrets, ring }
}

const rotate = (store: TestStore, masterKeys: MasterKeys, onRotated = async (): Promise<void> => undefined) =>
  rotateMasterKey({ db: store.db, masterKeys, random: store.random, onRotated })

const ids = async ({ sql }: TestStore) =>
  (await sql('SELECT master_key_id FROM secret_key UNION SELECT master_key_id FROM signing_key')).map(
    ({ master_key_id }) => master_key_id,
  )

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'ostiary-rotation-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

t.test('every column that a master key wraps is wrapped anew', async (t) => {
  const { sql } = await openTestStore(t)
  const rows = await sql(`
    SELECT table_name AS name FROM information_schema.columns
     WHERE column_name = 'master_key_id' AND table_schema = current_schema() ORDER BY 1`)
  t.same(
    rows.map(({ name }) => name),
    wrappedColumns.map(({ table }) => table).sort(),
  )
})

t.test('a rotation wraps the same keys under the new master key, which then is enough', async (t) => {
  const store = await openTestStore(t)
  const before = await openKeys(store, givenMasterKeys(old))
  await before.ring.rotate('next', by)

  await t.rejects(
    rotate(store, givenMasterKeys(next)),
    { name: 'WrongMasterKeyError' },
    'without the old one it cannot',
  )
  t.same(await ids(store), [old.id])
  t.same(await rotate(store, givenMasterKeys(next, old)), { from: [old.id], to: next.id, keys: 5 })
  t.same(await ids(store), [next.id])

  const after = await openKeys(store, givenMasterKeys(next))
  t.same(after.ring.jwks(), before.ring.jwks())
  t.same(after.secrets.current.derive('client secret'), before.secrets.current.derive('client secret'))
  const token = await after.ring.sign({ sub: 'x' }, { alg: 'ES256', typ: 'at+jwt' })
  t.same((await before.ring.verify(token, 'at+jwt'))?.claims, { sub: 'x' })
  await t.rejects(openKeys(store, givenMasterKeys(old)), { name: 'WrongMasterKeyError' })
  t.equal(await rotate(store, givenMasterKeys(next, old)), undefined, 'and nothing says what should come next')
})

t.test('until the rotation, what is new is wrapped under the old key, so that every process can open it', async (t) => {
  const store = await openTestStore(t)
  const notYet = await openKeys(store, givenMasterKeys(old))
  const already = await openKeys(store, givenMasterKeys(next, old))
  store.clock.advance(86_400 * 90)
  await already.ring.rotate('due', by)
  await already.ring.ensure(['RS256'])
  t.same(await ids(store), [old.id])
  await notYet.ring.refresh()
  t.same(notYet.ring.jwks(), already.ring.jwks())

  await rotate(store, givenMasterKeys(next, old))
  await already.ring.rotate('now', by)
  t.same(await ids(store), [next.id], 'after it, under the new one')
})

t.test(
  'a process that knows the old key alone goes on: it signs with its own, and verifies what others sign',
  async (t) => {
    const store = await openTestStore(t)
    const unopened: string[] = []
    const left = await openKeys(store, givenMasterKeys(old), (kid) => unopened.push(kid))
    await rotate(store, givenMasterKeys(next, old))
    const { ring } = await openKeys(store, givenMasterKeys(next))
    await ring.rotate('next', by)

    await left.ring.refresh()
    await left.ring.refresh()
    t.equal(unopened.length, 2, 'each new key is reported once')
    t.same(left.ring.jwks(), ring.jwks(), 'and published')
    store.clock.advance(config.keys.publishBefore - 1)
    for (const alg of ['ES256', 'EdDSA'] as const) {
      const token = await left.ring.sign({ sub: alg }, { alg, typ: 'at+jwt' })
      t.same((await ring.verify(token, 'at+jwt'))?.claims, { sub: alg })
    }
    store.clock.advance(1)
    const token = await ring.sign({ sub: 'x' }, { alg: 'ES256', typ: 'at+jwt' })
    t.same((await left.ring.verify(token, 'at+jwt'))?.claims, { sub: 'x' })
    await t.rejects(left.ring.ensure(['RS256']), { name: 'WrongMasterKeyError' }, 'it wraps nothing under the old one')
    t.same(await ids(store), [next.id])
  },
)

t.test('what fails in the middle leaves everything as it was', async (t) => {
  const store = await openTestStore(t)
  await openKeys(store, givenMasterKeys(old))
  const failing = rotate(store, givenMasterKeys(next, old), () => Promise.reject(new Error('no audit')))
  await t.rejects(failing, { message: 'no audit' })
  t.same(await ids(store), [old.id])
  await openKeys(store, givenMasterKeys(old))
})

t.test('the key of a data directory: replaced, found by whoever runs, and every older one is kept', async (t) => {
  const store = await openTestStore(t)
  const dataDir = folder(t)
  const running = openMasterKeyFiles(dataDir, store.random)
  const keys = await openKeys(store, running)
  const all = [running.current.id]
  for (let turn = 0; turn < 3; turn++) {
    const rotation = await rotate(store, openMasterKeyFiles(dataDir, store.random))
    t.match(rotation, { from: [all.at(-1)], keys: 3 })
    all.push(rotation!.to)
    t.same(await ids(store), [rotation!.to])
    t.equal(openMasterKeyFile(dataDir, store.random).id, rotation!.to)
  }
  t.equal(new Set(all).size, 4)
  t.same(readdirSync(dataDir).sort(), [
    'master.key',
    ...all
      .slice(0, 3)
      .map((id) => `master.key.old-${id}`)
      .sort(),
  ])
  for (const id of all) t.equal(running.find(id)?.id, id)

  await keys.ring.rotate('now', by)
  t.same(await ids(store), [all.at(-1)], 'who started before wraps under the new one')
  const alone = givenMasterKeys(openMasterKeyFile(dataDir, store.random))
  t.same((await openKeys(store, alone)).ring.jwks(), keys.ring.jwks())
})

t.test('cut off after the file was replaced: it starts, and the next run finishes that rotation', async (t) => {
  const store = await openTestStore(t)
  const dataDir = folder(t)
  const first = openMasterKeyFiles(dataDir, store.random)
  await openKeys(store, first)
  const replaced = first.replace!()

  await openKeys(store, openMasterKeyFiles(dataDir, store.random))
  t.same(await ids(store), [first.current.id])
  const rotation = await rotate(store, openMasterKeyFiles(dataDir, store.random))
  t.match(rotation, { from: [first.current.id], to: replaced.id })
  t.equal(openMasterKeyFile(dataDir, store.random).id, replaced.id, 'no third key')
  await openKeys(store, givenMasterKeys(replaced))
})

t.test('from the data directory to the settings, and back', async (t) => {
  const store = await openTestStore(t)
  const dataDir = folder(t)
  const file = openMasterKeyFiles(dataDir, store.random)
  await openKeys(store, file)
  await rotate(store, givenMasterKeys(next, file.current))
  await openKeys(store, givenMasterKeys(next))
  await rotate(store, openMasterKeyFiles(dataDir, store.random, next))
  await openKeys(store, openMasterKeyFiles(dataDir, store.random))
  t.same(await ids(store), [file.current.id])
})
