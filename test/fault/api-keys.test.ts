import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { endApiKeys } from '../../src/api-keys/index.js'
import { registerClient } from '../../src/clients/index.js'
import { createResource } from '../../src/clients/resource-servers.js'
import type { Context } from '../../src/context.js'
import { createGateway } from '../../src/gateways/index.js'
import { waitFor } from '../support/process.js'
import { basicOf, registration } from '../support/server.js'
import { type BackOffice, inBackOffice } from './support/back-office.js'
import { chance } from './support/chance.js'
import { seed } from './support/form.js'
import { createInstallation, type Installation } from './support/installation.js'
import { type KeyChanges, startKeyChanges } from './support/keys-changing.js'
import {
  bound,
  type HeldKey,
  judge,
  type KeyLoad,
  type KeyRequest,
  type KeyTotals,
  makeKeys,
  newKey,
  newTotals,
  startKeyLoad,
} from './support/keys-in-use.js'
import { rotateInUse } from './support/keys-rotated.js'
import { insist } from './support/promise-load.js'
import { record } from './support/rows.js'
import { startVerifiers } from './support/verifiers.js'
import { openWire } from './support/wire.js'

// In real time: keys in use at two server processes, at a gateway in front of each and at APIs of the package, while a thousand
// are rotated, their overlaps end, and then all of them are ended by one call, during which keys are created, rotated and
// changed. The server refuses a key from its end on, who remembers it 1 s later at the latest, and none before. The whole of
// it runs with every change: there is no longer form.

t.setTimeout(400_000)
t.comment(`seed ${seed}`)

const by = { actor: 'operator' }
const audience = 'https://orders.example'
const rotated = 1_000
const unused = 9_000
/** Of those, how many are shown before all end; besides them the successors. */
const shown = 2_500
const changed = 200
/** Requests in a second: about a fifth of what two cores can answer that send them as well, so that the bounds mean something. */
const rate = 150
/** Seconds. */
const overlaps = [3, 6] as const

/** Waits until the load has sent so many more with keys whose end was to be known. */
async function untilRefused(totals: KeyTotals, more: number): Promise<void> {
  const wanted = totals.endedRefused + more
  while (totals.endedRefused < wanted && totals.breaches.length === 0) await delay(50)
}

/**
 * @param onEnd begins when all have ended, while their rows are written
 * @returns milliseconds until the call said that all have ended, and between when that was
 */
async function endAll<Result>(ctx: Context, keys: readonly HeldKey[], onEnd: () => Promise<Result>) {
  const begun = performance.now()
  for (const key of keys) key.goodUntil = Math.min(key.goodUntil, begun)
  let over = 0
  let following: Promise<Result> | undefined
  const hear = (): void => {
    over = performance.now()
    for (const key of keys) key.endedAt = Math.min(key.endedAt, over)
    following = onEnd()
    // It is awaited once the rest is done.
    following.catch(() => undefined)
  }
  const cause = { ...by, reason: 'leaked' }
  const { ended, isComplete } = await insist(() => endApiKeys(ctx, { kind: 'all' }, { cause, onEnd: hear }))
  return { begun, over, took: over - begun, followed: await following, ended: ended.length, isComplete }
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

function seconds(milliseconds = 0): string {
  return `${Math.round(milliseconds / 1_000)} s`
}

function number(value: number): string {
  return value.toLocaleString('en')
}

function latest({ package: api, gateway }: KeyTotals['longest']): string {
  const longest = Math.round(Math.max(api, gateway))
  return longest > 0
    ? `; the last that was accepted had been sent ${longest} ms after the end`
    : ', and so were those within that second'
}

function countOf(keys: readonly HeldKey[], what: 'accepted' | 'refused'): number {
  return keys.filter((key) => key[what] > 0).length
}

/** Who has the keys and rotates them by HTTP, and who asks about them. */
async function registerScene(installation: Installation, ctx: Context) {
  const { resource, clientSecret } = await createResource(ctx, audience, { scopes: [{ name: 'read' }] }, by)
  await ctx.refresh()
  const settings = { resource: audience, scope: ['read'], accept: ['api-key'] }
  const gateway = await createGateway(ctx, 'orders', settings, by)
  const metadata = { client_name: 'Owner', grant_types: ['client_credentials'], scope: 'read api_keys' }
  const service = await registerClient(ctx, metadata, registration)
  const { clientId } = service.client
  const wire = openWire(new URL(installation.issuer).host)
  const form = { grant_type: 'client_credentials', scope: 'api_keys' }
  const headers = { authorization: basicOf(clientId, service.clientSecret ?? '') }
  const outcome = await wire.send(installation.servers[0]!.port!, { method: 'POST', path: '/token', form, headers })
  wire.close()
  if (outcome.kind !== 'answer' || outcome.status !== 200) throw new Error(`no token: ${JSON.stringify(outcome)}`)
  return {
    owner: { kind: 'client', id: clientId } as const,
    token: JSON.parse(outcome.body).access_token as string,
    credentials: { clientId: resource.clientId, clientSecret },
    gateway: { name: 'orders', basic: basicOf(gateway.gateway.clientId, gateway.clientSecret) },
  }
}

t.test('keys that are rotated and ended while they are in use', async (t) => {
  const processes = [
    { name: 'one', role: 'serve' },
    { name: 'two', role: 'serve' },
  ] as const
  const env = { API_KEYS_PER_OWNER: '100000', API_KEY_QUOTA: '10000' }
  const installation = await createInstallation(t, { processes, env })
  await inBackOffice(installation, async (office: BackOffice) => {
    const { ctx, sql } = office
    const { owner, token, credentials, gateway } = await registerScene(installation, ctx)
    const options = { issuer: installation.issuer, audience, credentials, takesKeys: true }
    const verifiers = await startVerifiers(t, [[options, options], [options]])
    const luck = chance(`${seed}/keys`)
    const basic = basicOf(credentials.clientId, credentials.clientSecret)
    const keys = await makeKeys(office, { owner, resource: audience, count: rotated })
    const idle = await makeKeys(office, { owner, resource: audience, count: unused })
    const load = startKeyLoad({ installation, verifiers, basic, gateway, chance: luck }, rate)
    const { totals } = load
    const laps: Record<string, number> = {}
    let since = performance.now()
    const lap = (name: string): void => {
      laps[name] = Math.round(performance.now() - since)
      since = performance.now()
    }
    try {
      const { successors, midway } = await rotateAll()
      t.comment(`${midway} overlaps were over while other keys were rotated`)
      t.ok(midway > 0, 'overlaps end in the middle')
      t.equal(countOf(keys, 'accepted'), rotated, 'every key that was rotated was accepted before its end')
      t.equal(countOf(successors, 'accepted'), rotated, 'and so was every successor')
      t.equal(countOf(keys, 'refused'), rotated, 'and every one was refused when its overlap was over')

      const all = [...keys, ...successors, ...idle]
      const { end, changes } = await endInUse(all, idle)
      const { ended } = end
      const took = Math.round(end.took)
      t.equal(end.isComplete, true)
      t.equal(end.followed, all.length, 'every key is refused by introspection, while rows are written that say so')
      t.ok(ended >= rotated + unused - 1, `${ended} keys ended by one call, which took ${took} ms`)
      t.ok(took < 4_500, 'the end itself is one short statement')
      const live = await sql('SELECT id FROM api_key WHERE ended_at IS NULL')
      await checkMade(t, changes, { end, load, liveRows: new Set(live.map(({ id }) => String(id))) })

      const known = [...successors, ...idle].filter(({ accepted }) => accepted > 0)
      t.ok(known.length >= rotated + shown, `${known.length} of them had been used, and are shown there again`)
      await delay(Math.max(0, end.over + bound - performance.now()))
      load.use(known)
      await untilRefused(totals, 600)
      lap('after')
      await load.stop()

      const pace = load.pace()
      const sent = Math.round(pace.sent / (pace.took / 1_000))
      t.comment(JSON.stringify({ ...totals, breaches: totals.breaches.length, laps, ...pace, sent }))
      t.same(totals.breaches.slice(0, 20), [], `${totals.breaches.length} breaches`)
      for (const [way, count] of Object.entries(totals.ways)) t.ok(count > 300, `${count} requests by ${way}`)
      t.ok(totals.unavailable < totals.requests / 100, `${totals.unavailable} requests were put off`)
      const [version] = await sql('SHOW server_version')
      await record({
        fault: 'API keys in use: 1,000 rotated, whose overlaps end, and 10,000 ended by one call',
        ...{
          rounds: 1,
          seed,
          operations: totals.requests,
          acknowledged: totals.goodAccepted,
          refused: totals.endedRefused,
        },
        ...{ unavailable: totals.unavailable, unanswered: 0, unreachable: 0, hung: 0, lost: totals.breaches.length },
        ...{ doubled: 0, histories: 0, failed: 0, porcupine: false, database: String(version?.['server_version']) },
        remark:
          `${sent} requests a second, to three APIs, to two processes for a gateway, and to introspect and exchange keys there. ` +
          `The 1,000 were rotated within ${seconds(laps['rotation'])}, by command and by HTTP, each with an overlap of 3 to 6 s; ` +
          `${midway} overlaps were over by then. Each key was accepted before its end, and refused behind it. One call ended ` +
          `${number(ended)} keys in ${took} ms, while others were created, rotated and changed; each was asked about at once, while the ` +
          `${number(known.length)} that had been used were shown on. ${number(totals.endedRefused)} requests with a key that had ended ` +
          `(at APIs and the gateway: more than 1 s before) were refused, all of them${latest(totals.longest)}`,
      })
    } finally {
      await load.stop()
    }

    async function rotateAll() {
      const successors: HeldKey[] = []
      load.use(keys, idle)
      await showEach(keys)
      lap('before')
      const rotation = { ctx, installation, token, load, luck: luck.fork('rotation'), overlaps, successors }
      await rotateInUse(keys, rotation)
      const over = performance.now()
      lap('rotation')
      load.use(keys, successors, idle)
      const isOver = () => countOf(keys, 'refused') === rotated || totals.breaches.length > 0
      await waitFor(isOver, 150, 'not every key was shown after its end')
      lap('overlaps')
      await showEach(idle.slice(-shown))
      lap('used')
      return { successors, midway: keys.filter(({ endedAt }) => endedAt < over).length }
    }

    /** So that each is remembered at its home. */
    async function showEach(some: readonly HeldKey[]) {
      for (const key of some) load.showAt(key, performance.now())
      const isUsed = () => countOf(some, 'accepted') === some.length || totals.breaches.length > 0
      await waitFor(isUsed, 150, 'not every key was shown')
    }

    /** While others are created, rotated and changed. */
    async function endInUse(all: readonly HeldKey[], some: readonly HeldKey[]) {
      const changes = startKeyChanges(ctx, { owner, keys: some.slice(0, changed), luck: luck.fork('changes') })
      try {
        const isMade = (how: string) => changes.made.some((each) => each.how === how)
        const isBusy = () => isMade('created') && isMade('rotated') && changes.counts.changed > 0
        await waitFor(isBusy, 150, 'nothing was changed')
        // Rows are written from the first id to the last, and asked about from the last to the first.
        const inOrder = all.toSorted((a, b) => (a.id < b.id ? -1 : 1))
        const end = await endAll(ctx, all, () => load.askAll(inOrder))
        const isBehind = () => changes.made.some(({ begun }) => begun > end.over) && changes.counts.over > 0
        await waitFor(isBehind, 150, 'nothing was changed any more')
        lap('end')
        return { end, changes }
      } finally {
        await changes.stop()
      }
    }
  })
})

t.test('the checker finds what it must not find', async (t) => {
  const found = (way: KeyRequest['way'], verdict: KeyRequest['verdict']) =>
    [500, 1_500, 2_500, 3_500].map((sent) => {
      const totals = newTotals()
      const key = { ...newKey('k', ''), goodUntil: 1_000, endedAt: 2_000 }
      judge(key, { way, status: 0, sent, answered: sent + 10, verdict }, totals)
      return totals.breaches.length
    })
  for (const way of ['package', 'gateway'] as const) t.same(found(way, 'accepted'), [0, 0, 0, 1])
  for (const way of ['introspection', 'exchange'] as const) t.same(found(way, 'accepted'), [0, 0, 1, 1])
  t.same(found('package', 'refused'), [1, 0, 0, 0])
  t.same(found('package', 'unavailable'), [0, 0, 0, 0])
  t.same(found('package', 'unexpected'), [1, 1, 1, 1])
})
