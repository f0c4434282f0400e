import t from 'tap'
import { authorizationCodes, partitions, refreshTokens } from '../../src/store/index.js'
import { addCode, addParty, addRefreshToken, openTestStore, redemption, rotation } from '../support/store.js'

/** As a server has them. Without partitions all rows lie in the default one, and there is nothing to prune. */
const horizon = { grantLifetime: 30 * 86_400, sessionLifetime: 7 * 86_400, auditRetentionDays: 30 }

const kinds = {
  'refresh tokens': {
    table: 'refresh_token',
    key: 'token_hash',
    add: addRefreshToken,
    spend: (store, token) => refreshTokens.rotate(store.db, rotation(store, token)),
  },
  'refresh tokens without rotation': {
    table: 'refresh_token',
    key: 'token_hash',
    add: addRefreshToken,
    spend: (store, token) => {
      const { answer: _, ...rest } = rotation(store, token)
      return refreshTokens.extend(store.db, { ...rest, tokens: {}, expiresAt: store.later(7 * 86_400) })
    },
  },
} satisfies Record<string, Kind<refreshTokens.RefreshToken>>

const codes: Kind<authorizationCodes.AuthorizationCode> = {
  table: 'authorization_code',
  key: 'code_hash',
  add: addCode,
  spend: (store, code) => authorizationCodes.redeem(store.db, redemption(store, code)),
}

type Store = Awaited<ReturnType<typeof openTestStore>>
interface Kind<Item> {
  readonly table: string
  readonly key: string
  readonly add: (store: Store, party: Awaited<ReturnType<typeof addParty>>) => Promise<Item>
  readonly spend: (store: Store, item: Item) => Promise<boolean>
}

function overtaken<Item extends { readonly hash: Buffer }>(name: string, { table, key, add, spend }: Kind<Item>): void {
  t.test(`${name}: who stands behind a row that another process spends, loses nothing`, async (t) => {
    const store = await openTestStore(t)
    await partitions.ensurePartitions(store.db.pool, horizon, store.now())
    const party = await addParty(store)
    const other = await store.another().pool.connect()
    t.teardown(() => other.release())
    for (let contested = 0; contested < 4; contested++) {
      const items = await Promise.all(Array.from({ length: 4 }, () => add(store, party)))
      // In the order in which they are locked.
      items.sort((one, two) => Buffer.compare(one.hash, two.hash))
      await other.query('BEGIN')
      await other.query(`UPDATE ${table} SET used_at = created_at WHERE ${key} = $1`, [items[contested]!.hash])
      const waiting = Promise.all(items.map((item) => spend(store, item)))
      const waits = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%locked%'
                      AND datname = current_database()`
      while ((await store.sql(waits)).length === 0) {}
      await other.query('COMMIT')
      t.same(
        await waiting,
        items.map((_, index) => index !== contested),
        `the ${contested + 1}. of four`,
      )
    }
  })
}

for (const [name, kind] of Object.entries(kinds)) overtaken(name, kind)
overtaken('codes', codes)
