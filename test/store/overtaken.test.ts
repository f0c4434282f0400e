import t from 'tap'
import {
  authorizationCodes,
  dayBucket,
  grants,
  type Interaction,
  interactions,
  partitions,
  refreshTokens,
} from '../../src/store/index.js'
import {
  addCode,
  addParty,
  addRefreshToken,
  newGrant,
  openTestStore,
  type Party,
  redemption,
  rotation,
} from '../support/store.js'

/** As a server has them. Without partitions all rows lie in the default one, and there is nothing to prune. */
const horizon = { grantLifetime: 30 * 86_400, sessionLifetime: 7 * 86_400, auditRetentionDays: 30 }

type Store = Awaited<ReturnType<typeof openTestStore>>

/** What is spent once. */
interface Kind<Item> {
  readonly table: string
  readonly key: string
  /** The column that says that it is spent. */
  readonly mark: string
  readonly add: (store: Store, party: Party) => Promise<Item>
  readonly hashOf: (item: Item) => Buffer
  /** @returns whether it was this caller */
  readonly spend: (store: Store, item: Item, party: Party) => Promise<boolean>
}

const refreshToken = {
  table: 'refresh_token',
  key: 'token_hash',
  mark: 'used_at',
  add: addRefreshToken,
  hashOf: ({ hash }: refreshTokens.RefreshToken) => hash,
}

const refreshed: Kind<refreshTokens.RefreshToken> = {
  ...refreshToken,
  spend: (store, token) => refreshTokens.rotate(store.db, rotation(store, token)),
}

const extended: Kind<refreshTokens.RefreshToken> = {
  ...refreshToken,
  spend: (store, token) => {
    const { answer: _, ...rest } = rotation(store, token)
    return refreshTokens.extend(store.db, { ...rest, tokens: {}, expiresAt: store.later(7 * 86_400) })
  },
}

const redeemed: Kind<authorizationCodes.AuthorizationCode> = {
  table: 'authorization_code',
  key: 'code_hash',
  mark: 'used_at',
  add: addCode,
  hashOf: ({ hash }) => hash,
  spend: (store, code) => authorizationCodes.redeem(store.db, redemption(store, code)),
}

/** A form that was sent twice: the second finds it answered. Its neighbours in the batch are other people's. */
const answered: Kind<Interaction> = {
  table: 'interaction',
  key: 'id_hash',
  mark: 'completed_at',
  async add(store, { client }) {
    const expiresAt = store.later(3600)
    const interaction = {
      bucket: dayBucket(expiresAt),
      idHash: store.random.bytes(32),
      browserHash: store.random.bytes(32),
      clientId: client.clientId,
      request: {},
      createdAt: store.now(),
      expiresAt,
    }
    await interactions.create(store.db, interaction)
    return interaction
  },
  hashOf: ({ idHash }) => idHash,
  async spend(store, interaction, party) {
    const expiresAt = store.later(60)
    const outcome = await grants.create(store.db, {
      grant: newGrant(store, party),
      code: { bucket: dayBucket(expiresAt), hash: store.random.bytes(32), expiresAt },
      event: store.event('code.issued'),
      answers: { interaction, decisions: [], consentEvent: undefined },
    })
    if (outcome === 'ended') throw new Error('nothing has ended')
    return outcome === 'created'
  },
}

function overtaken<Item>(name: string, { table, key, mark, add, hashOf, spend }: Kind<Item>): void {
  t.test(`${name}: who stands behind a row that another process spends, loses nothing`, async (t) => {
    const store = await openTestStore(t)
    await partitions.ensurePartitions(store.db.pool, horizon, store.now())
    const party = await addParty(store)
    const other = await store.another().pool.connect()
    t.teardown(() => other.release())
    for (let contested = 0; contested < 4; contested++) {
      const items = await Promise.all(Array.from({ length: 4 }, () => add(store, party)))
      // In the order in which they are locked.
      items.sort((one, two) => Buffer.compare(hashOf(one), hashOf(two)))
      await other.query('BEGIN')
      await other.query(`UPDATE ${table} SET ${mark} = created_at WHERE ${key} = $1`, [hashOf(items[contested]!)])
      const waiting = Promise.all(items.map((item) => spend(store, item, party)))
      const waits = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`
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

overtaken('refresh tokens', refreshed)
overtaken('refresh tokens without rotation', extended)
overtaken('codes', redeemed)
overtaken('answers to interactions', answered)
