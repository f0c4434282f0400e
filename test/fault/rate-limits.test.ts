import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { registerClient } from '../../src/clients/index.js'
import { createResource } from '../../src/clients/resource-servers.js'
import { createTier } from '../../src/limits/index.js'
import { waitFor } from '../support/process.js'
import { startRedis, withoutRedis } from '../support/redis.js'
import { basicOf, registration } from '../support/server.js'
import { inBackOffice } from './support/back-office.js'
import { openFlood, type Sample, wireTo } from './support/flood.js'
import { createInstallation, type Installation } from './support/installation.js'
import { type Account, apiIdentifier } from './support/people.js'
import { embeddedPrograms } from './support/postgres-programs.js'
import { createPostgres } from './support/postgres-server.js'

/** A tier, and so many clients that have it, each counted by itself. */
interface Limited {
  readonly limit: number
  /** Seconds. */
  readonly window: number
  readonly burst: number
  readonly clients: number
}

const by = { actor: 'operator' }
const twoServers = [
  { name: 'one', role: 'serve' },
  { name: 'two', role: 'serve' },
] as const

async function register(installation: Installation, name: string, { clients, ...numbers }: Limited) {
  return inBackOffice(installation, async ({ ctx }) => {
    if (!ctx.resources.find(apiIdentifier)) {
      await createResource(ctx, apiIdentifier, { scopes: [{ name: 'read' }] }, by)
      await ctx.refresh()
    }
    await createTier(ctx, name, numbers, by)
    const metadata = { client_name: 'Load', redirect_uris: undefined, grant_types: ['client_credentials'] }
    const accounts: Account[] = []
    for (let n = 0; n < clients; n++) {
      const registered = await registerClient(ctx, { ...metadata, scope: 'read', rate_tier: name }, registration)
      const { client, clientSecret = '' } = registered
      accounts.push({ clientId: client.clientId, basic: basicOf(client.clientId, clientSecret) })
    }
    return accounts
  })
}

/** Each says that it is there, and has heard of the other when this is over: what they know is true after five seconds. */
async function acquaint(installation: Installation): Promise<void> {
  const [account] = await register(installation, 'first', { limit: 100, window: 10, burst: 100, clients: 1 })
  const wire = wireTo(installation)
  const flood = openFlood(wire, installation, account!)
  await flood.burst(2)
  await flood.until(Date.now() + 5_500)
  wire.close()
}

const accepted = (samples: readonly Sample[]): readonly Sample[] => samples.filter(({ status }) => status === 200)

const seconds = (milliseconds: number): number => milliseconds / 1000

/** Whole lines of the log of each process. */
function linesOf({ servers }: Installation, text: string): readonly Record<string, unknown>[] {
  const lines = servers.flatMap(({ output }) => output().split('\n').slice(0, -1))
  return lines.filter((line) => line.includes(text)).map((line) => JSON.parse(line))
}

/** When each process wrote the line. */
function timesOf(installation: Installation, text: string): readonly number[] {
  return linesOf(installation, text).map(({ time }) => Date.parse(String(time)))
}

const wentAway = 'rate limits go on by shares'
const cameBack = 'rate limits hold over all processes again'

/** Of a policy that is asked without pause: a burst at the beginning, and what has come back in so many milliseconds. */
const ideal = ({ limit, window, burst }: Limited, milliseconds: number): number =>
  burst + (limit / window) * seconds(milliseconds)

/** Ten clients at once against two processes, for a window of each tier: a burst that nothing is held of, and a larger one. */
async function countWindows(t: Test, installation: Installation): Promise<void> {
  await acquaint(installation)
  for (const burst of [10, 100]) {
    const tier = { limit: burst, window: 5, burst, clients: 10 }
    const accounts = await register(installation, `burst-${burst}`, tier)
    const wire = wireTo(installation)
    const floods = accounts.map((account) => openFlood(wire, installation, account))
    const end = Date.now() + tier.window * 1000
    await Promise.all(
      floods.map(async (flood) => {
        await flood.burst(burst + 20)
        await flood.until(end)
        // What they were too slow for has come back, and is used up.
        await flood.burst(burst + 20)
      }),
    )
    wire.close()
    t.same(
      linesOf(installation, wentAway).map(({ err }) => err),
      [],
      'the store answered in time',
    )
    for (const { samples } of floods) {
      t.ok(samples.every(({ status }) => status === 200 || status === 429))
      const first = Math.min(...samples.map(({ sentAt }) => sentAt))
      const count = accepted(samples).length
      // From the first request to the last answer; and from the first answer to the last request.
      const most = ideal(tier, Math.max(...samples.map(({ answeredAt }) => answeredAt)) - first)
      const begun = Math.min(...accepted(samples).map(({ answeredAt }) => answeredAt))
      const least = ideal(tier, Math.max(...samples.map(({ sentAt }) => sentAt)) - begun)
      t.ok(count <= most + burst / 20, `burst ${burst}: ${count} of ${most.toFixed(1)} and a twentieth of the burst`)
      // One more or less: what came back behind the last request that was in time to have it.
      t.ok(count >= least - burst / 10 - 1, `burst ${burst}: ${count} of ${least.toFixed(1)} less a tenth of the burst`)
    }
  }
}

t.test('ten clients at once against two processes, over PostgreSQL: as many are accepted as is stated', async (t) =>
  countWindows(t, await createInstallation(t, { processes: twoServers })),
)

t.test('and over Redis', { skip: withoutRedis }, async (t) => {
  const { url } = await startRedis(t)
  await countWindows(t, await createInstallation(t, { processes: twoServers, env: { REDIS_URL: url } }))
})

interface Store {
  readonly kill: () => Promise<void>
  readonly start: () => Promise<void>
  /** Milliseconds that it is away. */
  readonly absence: number
}

/**
 * The store is killed under load, and comes back without what it held: nobody waits, the shares are the whole, and what is more
 * than the policy says is a burst, once.
 */
async function surviveLoss(t: Test, installation: Installation, { kill, start, absence }: Store): Promise<void> {
  await acquaint(installation)
  const tier = { limit: 50, window: 10, burst: 19, clients: 1 }
  const rate = tier.limit / tier.window
  const [account] = await register(installation, 'gold', tier)
  const wire = wireTo(installation)
  const flood = openFlood(wire, installation, account!)
  const { samples } = flood
  const begun = Date.now()
  await flood.burst(60)
  await flood.until(Date.now() + 1_000)
  const before = accepted(samples).length
  t.ok(before <= ideal(tier, Date.now() - begun), `${before} while the store was there`)

  const killed = Date.now()
  const [, startedAt] = await Promise.all([
    flood.until(killed + absence),
    kill().then(async () => {
      await delay(absence)
      await start()
      return Date.now()
    }),
  ])
  await waitFor(
    async () => {
      await flood.until(Date.now() + 250)
      return timesOf(installation, cameBack).length === 2
    },
    30,
    'a process does not go back to the store',
  )
  await flood.until(Date.now() + 3_000)
  const end = Date.now()
  wire.close()

  const away = samples.filter(({ sentAt }) => sentAt >= killed && sentAt < startedAt)
  const inTime = away.filter(({ sentAt }) => sentAt < killed + absence)
  t.same([...new Set(inTime.map(({ status }) => status))].sort(), [200, 429], 'no request fails for it')
  const byShares = accepted(inTime).length
  t.ok(byShares <= rate * seconds(absence) + 2, `${byShares} by shares in ${seconds(absence)} s`)
  t.ok(byShares >= rate * seconds(absence - 1_000) - 2, `${byShares} by shares: two are the whole`)
  t.equal(timesOf(installation, wentAway).length, 2, 'each process said that it is away')
  const back = [...timesOf(installation, cameBack)].sort()
  t.equal(back.length, 2, 'and that it is back')

  // Until the second one has seen it, it goes on with its share beside what the first one leases.
  const beside = (rate / 2) * seconds(back[1]! - back[0]!)
  // Each process holds the one by which it asked whether the store is back, and the share of the second has no half requests.
  const whole = twoServers.length + 1
  const again = accepted(samples.filter(({ answeredAt }) => answeredAt >= back[0]!)).length
  t.ok(again >= tier.burst, `a burst more: ${again} since the return`)
  const fresh = accepted(samples.filter(({ sentAt }) => sentAt >= back[0]!)).length
  t.ok(fresh <= ideal(tier, end - back[0]!) + beside + whole, `no more than one: ${fresh} since the return`)
  const all = accepted(samples).length
  const most = ideal(tier, end - begun) + tier.burst + beside
  t.ok(all <= most + whole, `${all} of ${most.toFixed(1)}, a burst more, once`)
}

t.test('PostgreSQL is killed and comes back: the token endpoint goes on, by shares', async (t) => {
  const postgres = await createPostgres(t, { programs: await embeddedPrograms(t) })
  const installation = await createInstallation(t, { processes: twoServers, databaseUrl: postgres.url })
  // Shorter than the three seconds after which nobody knows what is revoked, and nothing is issued for that.
  await surviveLoss(t, installation, { kill: postgres.kill, start: postgres.start, absence: 2_000 })
})

t.test('Redis is killed and comes back: the same, for as long as it takes', { skip: withoutRedis }, async (t) => {
  const redis = await startRedis(t)
  const installation = await createInstallation(t, { processes: twoServers, env: { REDIS_URL: redis.url } })
  await surviveLoss(t, installation, { kill: redis.down, start: redis.up, absence: 5_000 })
  const statuses = new Set(linesOf(installation, '"route":"/token"').map(({ status }) => status))
  t.same([...statuses].sort(), [200, 429], 'never anything else')
})
