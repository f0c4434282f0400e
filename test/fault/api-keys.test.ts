import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { endApiKeys, rotateApiKey } from '../../src/api-keys/index.js'
import { createResource } from '../../src/clients/resource-servers.js'
import type { Context } from '../../src/context.js'
import { createUser } from '../../src/identity/index.js'
import { waitFor } from '../support/process.js'
import { basicOf } from '../support/server.js'
import { type BackOffice, inBackOffice } from './support/back-office.js'
import { chance } from './support/chance.js'
import { form, seed } from './support/form.js'
import { createInstallation } from './support/installation.js'
import { type KeyChanges, startKeyChanges } from './support/keys-changing.js'
import {
  bound,
  type HeldKey,
  judge,
  type KeyLoad,
  type KeyRequest,
  type KeyTotals,
  makeKeys,
  monotonic,
  newKey,
  startKeyLoad,
} from './support/keys-in-use.js'
import { insist } from './support/promise-load.js'
import { record } from './support/rows.js'
import { startVerifiers } from './support/verifiers.js'

// In real time: keys in use at two server processes and the APIs of the package, while some are rotated, their overlaps end,
// and then all of them are ended by one call, during which keys are created, rotated and changed. The server refuses a key from
// its end on, the package 1 s later at the latest, and none before.

t.setTimeout(form(170_000, 1_500_000))
t.comment(`seed ${seed}`)

const by = { actor: 'operator' }
const audience = 'https://orders.example'
const used = 1_000
const rotated = form(200, 1_000)
const unused = 9_000
const changed = 200
const rounds = form(1, 5)

/** Waits until the load has sent so many with keys that ended more than the bound ago. */
async function untilRefused(totals: KeyTotals, more: number): Promise<void> {
  const wanted = totals.endedRefused + more
  while (totals.endedRefused < wanted && totals.breaches.length === 0) await delay(50)
}

/** Rotates some, each with an overlap of its own. @returns the successors, and the time at which the last overlap is over */
async function rotateSome(ctx: Context, keys: readonly HeldKey[], between: (from: number, to: number) => number) {
  const successors: HeldKey[] = []
  let last = 0
  const waiting = [...keys]
  const one = async (): Promise<void> => {
    for (let key = waiting.pop(); key; key = waiting.pop()) {
      const { id } = key
      const overlap = between(1, form(4, 20))
      // Its end is known when it is committed, and cannot be earlier than this; keys end by the whole second.
      key.goodUntil = Math.floor(performance.now()) + (overlap - 1) * 1_000
      const { key: successor, text = '', previous } = await insist(() => rotateApiKey(ctx, id, { overlap, by }))
      const end = monotonic(previous.expiresAt!)
      key.endedAt = end
      last = Math.max(last, end)
      successors.push(newKey(successor.id, text))
    }
  }
  await Promise.all([one(), one()])
  return { successors, last }
}

/**
 * @param onEnd begins when all have ended, while their rows are written
 * @returns milliseconds until the call said that all have ended, between when that was, and the successors
 */
async function endAll<Result>(
  ctx: Context,
  keys: readonly HeldKey[],
  { replace, onEnd: then }: { readonly replace: boolean; readonly onEnd: () => Promise<Result> },
) {
  const begun = performance.now()
  for (const key of keys) key.goodUntil = Math.min(key.goodUntil, begun)
  let over = 0
  let following: Promise<Result> | undefined
  const onEnd = (): void => {
    const at = performance.now()
    over = at
    for (const key of keys) key.endedAt = Math.min(key.endedAt, at)
    following = then()
    // It is awaited once the rest is done.
    following.catch(() => undefined)
  }
  const cause = { ...by, reason: 'leaked' }
  const { ended, successors, isComplete } = await insist(() =>
    endApiKeys(ctx, { kind: 'all' }, { cause, replace, onEnd }),
  )
  return {
    ...{ begun, over, took: over - begun, followed: await following },
    ended: ended.length,
    isComplete,
    successors: successors.map(({ key, text = '' }) => newKey(key.id, text)),
  }
}

/** What was made while all ended is ended where it came before, and else lives: everywhere, and as its row says. */
async function checkMade(
  t: Test,
  { made, counts }: KeyChanges,
  {
    end: { begun, over },
    load,
    liveRows,
  }: { readonly end: { begun: number; over: number }; readonly load: KeyLoad; readonly liveRows: ReadonlySet<string> },
): Promise<void> {
  const wrong: string[] = []
  const seen = { before: 0, within: 0, after: 0, rotated: 0 }
  for (const { how, key, begun: asked, answered } of made) {
    const verdicts = new Set(await load.askEverywhere(key))
    const lives = verdicts.has('accepted')
    const when = answered < begun ? 'before' : asked > over ? 'after' : 'within'
    seen[when]++
    // Whoever was rotated had not ended yet, so its successor came before the end as well.
    if (how === 'rotated') seen.rotated++
    const must = how === 'rotated' || when === 'before' ? false : when === 'after' ? true : lives
    if (verdicts.size !== 1 || lives !== must || lives !== liveRows.has(key.id))
      wrong.push(`${key.id} was ${how} ${when} the end: ${[...verdicts].join(' and ')}`)
  }
  t.same(wrong, [], `${made.length} keys were made meanwhile: ${JSON.stringify({ ...seen, ...counts })}`)
  t.ok(seen.before > 0 && seen.after > 0 && seen.rotated > 0, 'keys were made before and after the end')
  t.ok(counts.changed > 0 && counts.over > 0, 'keys were changed before the end, and could not be any more')
}

t.test('keys that are rotated and ended while they are in use', async (t) => {
  const processes = [
    { name: 'one', role: 'serve' },
    { name: 'two', role: 'serve' },
  ] as const
  const env = { API_KEYS_PER_OWNER: '100000' }
  const installation = await createInstallation(t, { processes, env })
  await inBackOffice(installation, async (office: BackOffice) => {
    const { ctx, sql } = office
    const { resource, clientSecret } = await createResource(ctx, audience, { scopes: [{ name: 'read' }] }, by)
    await ctx.refresh()
    const owner = { kind: 'user', id: (await createUser(ctx, { email: 'ada@example.com' }, by)).id } as const
    const credentials = { clientId: resource.clientId, clientSecret }
    const options = { issuer: installation.issuer, audience, credentials, takesKeys: true }
    const verifiers = await startVerifiers(t, [[options, options], [options]])
    const luck = chance(`${seed}/keys`)
    const basic = basicOf(resource.clientId, clientSecret)
    const load = startKeyLoad({ installation, verifiers, basic, chance: luck }, form(4, 16))
    const { totals } = load
    let inUse = await makeKeys(office, { owner, resource: audience, count: used })
    const times: number[] = []
    const since = performance.now()
    try {
      for (let round = 0; round < rounds; round++) {
        const idle = await makeKeys(office, { owner, resource: audience, count: unused })
        load.use(inUse)
        const { successors, last } = await rotateSome(ctx, inUse.slice(0, rotated), luck.between)
        load.use([...inUse.slice(0, 2 * rotated), ...successors])
        await delay(Math.max(0, last - performance.now()) + bound)
        await untilRefused(totals, form(10, 1_000))

        const all = [...inUse, ...successors, ...idle]
        load.use([...inUse.slice(rotated), ...successors, ...idle])
        await delay(form(500, 3_000))
        const replace = round < rounds - 1
        const changes = startKeyChanges(ctx, {
          owner,
          keys: idle.slice(0, changed),
          luck: luck.fork(`changes ${round}`),
        })
        const isMade = (how: string) => changes.made.some((each) => each.how === how)
        const isBusy = () => isMade('created') && isMade('rotated') && changes.counts.changed > 0
        await waitFor(isBusy, 30, 'nothing was changed')
        // Rows are written from the first id to the last, and asked about from the last to the first.
        const inOrder = all.toSorted((a, b) => (a.id < b.id ? -1 : 1))
        const end = await endAll(ctx, all, { replace, onEnd: () => load.askAll(inOrder) })
        const { took, ended, isComplete, followed, successors: next } = end
        const isBehind = () => changes.made.some(({ begun }) => begun > end.over) && changes.counts.over > 0
        await waitFor(isBehind, 30, 'nothing was changed any more')
        await changes.stop()
        times.push(took)
        t.equal(isComplete, true)
        t.equal(followed, all.length, 'every key is refused by introspection, while rows are written that say so')
        const live = await sql('SELECT id FROM api_key WHERE ended_at IS NULL')
        await checkMade(t, changes, { end, load, liveRows: new Set(live.map(({ id }) => String(id))) })
        t.ok(ended >= used + unused - 1, `${ended} keys ended by one call, which took ${Math.round(took)} ms`)
        await delay(bound)
        await untilRefused(totals, form(100, 5_000))
        if (replace) inUse = next.slice(0, used)
      }
    } finally {
      await load.stop()
    }
    const longest = Math.round(totals.longest)
    t.comment(
      JSON.stringify({
        ...totals,
        breaches: totals.breaches.length,
        longest,
        times: times.map(Math.round),
        took: Math.round(performance.now() - since),
      }),
    )
    t.same(totals.breaches.slice(0, 20), [], `${totals.breaches.length} breaches`)
    t.ok(totals.goodAccepted > form(100, 5_000), 'keys that live were used meanwhile')
    for (const [way, count] of Object.entries(totals.ways)) t.ok(count > form(20, 1_000), `${count} requests by ${way}`)
    t.ok(totals.unavailable < totals.requests / 100, `${totals.unavailable} requests were put off`)
    t.ok(Math.max(...times) < 4_500, 'the end itself is one short statement')
    const [shown] = await sql('SHOW server_version')
    await record({
      fault: `API keys: ${rotated * rounds} rotated, with overlaps that end, and ${rounds} times 10,000 ended by one call`,
      ...{ rounds, seed, operations: totals.requests, acknowledged: totals.goodAccepted, refused: totals.endedRefused },
      ...{ unavailable: totals.unavailable, unanswered: 0, unreachable: 0, hung: 0, lost: totals.breaches.length },
      ...{ doubled: 0, histories: 0, failed: 0, porcupine: false, database: String(shown?.['server_version']) },
      remark:
        `shown to three APIs, introspected and exchanged at two processes, while keys were created, rotated and changed. ` +
        `${totals.endedRefused} requests with a key that had ended (at an API: more than 1 s before) were refused, all of ` +
        `them; the last that an API accepted had been sent ${longest} ms after the end. One call ended 10,000 keys in ${Math.round(Math.max(...times))} ms at most`,
    })
  })
})

t.test('the checker finds what it must not find', async (t) => {
  const totals = (): KeyTotals => ({
    ...{ requests: 0, goodAccepted: 0, endedRefused: 0, unavailable: 0, longest: 0, breaches: [] },
    ways: { package: 0, introspection: 0, exchange: 0 },
  })
  const key: HeldKey = { id: 'k', text: '', goodUntil: 1_000, endedAt: 2_000 }
  const found = (way: KeyRequest['way'], verdict: KeyRequest['verdict']) =>
    [500, 1_500, 2_500, 3_500].map((sent) => {
      const each = totals()
      judge(key, { way, status: 0, sent, answered: sent + 10, verdict }, each)
      return each.breaches.length
    })
  t.same(found('package', 'accepted'), [0, 0, 0, 1])
  for (const way of ['introspection', 'exchange'] as const) t.same(found(way, 'accepted'), [0, 0, 1, 1])
  t.same(found('package', 'refused'), [1, 0, 0, 0])
  t.same(found('package', 'unavailable'), [0, 0, 0, 0])
  t.same(found('package', 'unexpected'), [1, 1, 1, 1])
})
