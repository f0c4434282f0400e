import t from 'tap'
import { dayBucket, type GrantOutcome, grants, type Interaction, interactions } from '../../src/store/index.js'
import { addClient, addParty, newGrant, openTestStore, type Party, type TestStore } from '../support/store.js'

async function addInteraction(store: TestStore, { client }: Party, lifetime = 3600): Promise<Interaction> {
  const expiresAt = store.later(lifetime)
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
}

function newOne(store: TestStore, party: Party, more: Partial<grants.NewGrant> = {}): grants.NewGrant {
  const expiresAt = store.later(60)
  return {
    grant: newGrant(store, party),
    code: { bucket: dayBucket(expiresAt), hash: store.random.bytes(32), expiresAt },
    event: store.event('code.issued', { ip: '192.0.2.1', requestId: 'request' }),
    ...more,
  }
}

function answering(store: TestStore, party: Party, interaction: Interaction): grants.NewGrant {
  const grant = newGrant(store, party)
  return newOne(store, party, {
    grant,
    answers: {
      interaction,
      decisions: [
        { resource: 'https://api.example.com', scope: 'read', granted: true },
        { resource: 'https://api.example.com', scope: 'write', granted: false },
      ],
      consentEvent: store.event('consent.given', { detail: { scope: 'read' } }),
    },
  })
}

const rows = (store: TestStore, table: string) => store.sql(`SELECT * FROM ${table}`)

t.test('grant, code and event are written by one statement', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const created = newOne(store, party)

  t.equal(await grants.create(store.db, created), 'created')

  t.match(await rows(store, 'authorization_grant'), [
    {
      id: created.grant.id,
      client_id: party.client.clientId,
      user_id: party.user.id,
      session_id: party.session.id,
      scope: ['read'],
      resources: ['https://api.example.com'],
      offline: false,
      ended_at: null,
    },
  ])
  t.match(await rows(store, 'authorization_code'), [
    {
      code_hash: created.code.hash,
      grant_id: created.grant.id,
      redirect_uri: null,
      code_challenge: null,
      used_at: null,
    },
  ])
  t.match(await rows(store, 'audit_event'), [
    {
      type: 'code.issued',
      actor: `user:${party.user.id}`,
      client_id: party.client.clientId,
      subject: party.user.id,
      grant_id: created.grant.id,
      ip: '192.0.2.1',
      detail: { scope: 'read', resources: 'https://api.example.com' },
    },
  ])
  t.match(await grants.findById(store.db, created.grant.id), { bucket: created.grant.bucket, userId: party.user.id })
  t.equal(await grants.findById(store.db, store.random.uuid()), undefined)
})

t.test('a grant may have no scope and no resource', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const created = newOne(store, party, { grant: { ...newGrant(store, party), scope: [], resources: [] } })
  t.equal(await grants.create(store.db, created), 'created')
  t.match(await rows(store, 'authorization_grant'), [{ scope: [], resources: [] }])
})

t.test('what was decided on the way is remembered, and asked no more', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const interaction = await addInteraction(store, party)

  t.equal(await grants.create(store.db, answering(store, party, interaction)), 'created')

  t.match((await rows(store, 'consent')).map(({ scope, granted }) => `${scope} ${granted}`).sort(), [
    'read true',
    'write false',
  ])
  t.same((await rows(store, 'audit_event')).map(({ type }) => type).sort(), ['code.issued', 'consent.given'])
  t.same((await interactions.find(store.db, interaction.bucket, interaction.idHash))?.completedAt, store.now())
  t.equal(await interactions.complete(store.db, interaction, store.now()), false)
})

t.test('of 200 answers to one interaction from two processes exactly one is the answer', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const interaction = await addInteraction(store, party)
  const pools = [store.db, store.another()]

  const outcomes: (GrantOutcome | boolean)[] = await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      // Every tenth denies.
      index % 10 === 9
        ? interactions.complete(pools[index % 2]!, interaction, store.now())
        : grants.create(pools[index % 2]!, answering(store, party, interaction)),
    ),
  )

  const answers = outcomes.filter((outcome) => outcome === 'created' || outcome === true)
  t.equal(answers.length, 1)
  t.ok(outcomes.every((outcome) => outcome !== 'ended'))
  const created = outcomes.includes('created') ? 1 : 0
  t.equal((await rows(store, 'authorization_grant')).length, created)
  t.equal((await rows(store, 'authorization_code')).length, created)
  t.equal((await rows(store, 'audit_event')).length, created * 2)
})

t.test('the same interaction twice in one batch has one answer', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const interaction = await addInteraction(store, party)
  const outcomes = await Promise.all([1, 2, 3].map(() => grants.create(store.db, answering(store, party, interaction))))
  t.same(outcomes.toSorted(), ['answered', 'answered', 'created'])
  t.equal((await rows(store, 'authorization_grant')).length, 1)
})

t.test('an interaction that has expired is answered no more', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const interaction = await addInteraction(store, party, 60)
  store.clock.advance(60)
  t.equal(await grants.create(store.db, answering(store, party, interaction)), 'answered')
  t.equal(await interactions.complete(store.db, interaction, store.now()), false)
  t.equal((await rows(store, 'authorization_grant')).length, 0)
  t.equal((await rows(store, 'consent')).length, 0)
})

t.test('a revocation that came first leaves nothing to redeem', async (t) => {
  const store = await openTestStore(t)
  const ends: Readonly<Record<string, (party: Party) => Promise<unknown>>> = {
    'session ended': ({ session }) =>
      store.sql('UPDATE session SET ended_at = $2 WHERE id = $1', [session.id, store.now()]),
    'user disabled': ({ user }) =>
      store.sql('UPDATE user_account SET disabled_at = $2 WHERE id = $1', [user.id, store.now()]),
    'user revoked': ({ user }) =>
      store.sql('UPDATE user_account SET not_before = $2 WHERE id = $1', [user.id, store.now()]),
    'user deleted': ({ user }) => store.sql('DELETE FROM user_account WHERE id = $1', [user.id]),
    'client disabled': ({ client }) =>
      store.sql('UPDATE client SET disabled_at = $2 WHERE client_id = $1', [client.clientId, store.now()]),
    'client deleted': ({ client }) => store.sql('DELETE FROM client WHERE client_id = $1', [client.clientId]),
  }
  for (const [name, end] of Object.entries(ends)) {
    const party = await addParty(store)
    const interaction = await addInteraction(store, party)
    await end(party)
    t.equal(await grants.create(store.db, answering(store, party, interaction)), 'ended', name)
    const found = await interactions.find(store.db, interaction.bucket, interaction.idHash)
    t.equal(found?.completedAt, undefined, 'and the interaction still waits')
  }
  t.equal((await rows(store, 'authorization_grant')).length, 0)
  t.equal((await rows(store, 'authorization_code')).length, 0)
})

t.test(
  'attack 96: another document than the user was shown gets nothing, and the interaction still waits',
  async (t) => {
    const store = await openTestStore(t)
    const [shown, next] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
    const plain = await addParty(store)
    const described = { ...plain, client: await addClient(store, { documentHash: next }) }
    const cases = [
      [described, shown, 'changed'],
      [described, undefined, 'changed'],
      [plain, shown, 'changed'],
      [described, next, 'created'],
      [plain, undefined, 'created'],
    ] as const
    const waiting = await Promise.all(cases.map(([party]) => addInteraction(store, party)))
    const outcomes = await Promise.all(
      cases.map(([party, shownHash], index) =>
        grants.create(store.db, { ...answering(store, party, waiting[index]!), shownHash }),
      ),
    )
    t.same(
      outcomes,
      cases.map(([, , outcome]) => outcome),
    )
    for (const [index, { bucket, idHash }] of waiting.entries()) {
      const isAnswered = (await interactions.find(store.db, bucket, idHash))?.completedAt !== undefined
      t.equal(isAnswered, outcomes[index] === 'created')
    }
    for (const [table, each] of [
      ['authorization_grant', 1],
      ['authorization_code', 1],
      ['consent', 2],
      ['audit_event', 2],
    ] as const) {
      t.equal((await rows(store, table)).length, 2 * each, table)
    }
    t.equal(await grants.create(store.db, { ...newOne(store, described), shownHash: shown }), 'changed', 'by itself')
  },
)

t.test('in one batch each has its own outcome', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const other = { ...party, client: await addClient(store) }
  await store.sql('UPDATE client SET disabled_at = $2 WHERE client_id = $1', [other.client.clientId, store.now()])
  const answered = await addInteraction(store, party)
  await interactions.complete(store.db, answered, store.now())

  t.same(
    await Promise.all([
      grants.create(store.db, newOne(store, party)),
      grants.create(store.db, newOne(store, other)),
      grants.create(store.db, answering(store, party, answered)),
      grants.create(store.db, answering(store, party, await addInteraction(store, party))),
    ]),
    ['created', 'ended', 'answered', 'created'],
  )
})

t.test(
  'answers of the same user for the same client at once do not deadlock, and the last decision stands',
  async (t) => {
    const store = await openTestStore(t)
    const party = await addParty(store)
    const pools = [store.db, store.another()]
    const waiting = await Promise.all(Array.from({ length: 60 }, () => addInteraction(store, party)))
    const outcomes = await Promise.all(
      waiting.map((interaction, index) => {
        const answer = answering(store, party, interaction)
        const decisions = index % 3 ? answer.answers!.decisions : answer.answers!.decisions.toReversed()
        return grants.create(pools[index % 2]!, { ...answer, answers: { ...answer.answers!, decisions } })
      }),
    )
    t.ok(outcomes.every((outcome) => outcome === 'created'))
    t.equal((await rows(store, 'consent')).length, 2)
  },
)
