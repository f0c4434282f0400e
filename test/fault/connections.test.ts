import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { limits, stalledTimeout } from '../../src/http/node-server.js'
import { waitFor } from '../support/process.js'
import { type Crowd, type Held, openCrowd, slowKinds } from './support/crowd.js'
import { cannotRun, form, isLong } from './support/form.js'
import { createInstallation } from './support/installation.js'
import { type Load, startLoad } from './support/load.js'
import { createMemoryProbe } from './support/memory.js'
import { registerPeople, registerVictims } from './support/people.js'
import { reconcile } from './support/reconcile.js'

/** So many connections that wait, so many that are slow, and so many whose clients read nothing. */
const idle = form(1_000, 10_000)
const slow = form(100, 1_000)
const deaf = form(10, 30)
/** Of those that ask as fast as they can, at once. Each costs what it takes to parse 64 KiB of requests. */
const greedy = 10
const { headersTimeout, requestTimeout, keepAliveTimeout } = limits

/** Milliseconds between two looks of Node's, and some for a machine that is busy. */
const late = limits.connectionsCheckingInterval + 3_000

/** Milliseconds until what lies between a server and a client that reads nothing is full: some megabytes, of both systems. */
const filled = 24_000

/** Milliseconds within which 99 of 100 requests must be answered, and every one. */
const bounds = { most: 2_000, all: 5_000 }

/** Megabytes that a connection may cost while it is held, and that may be left when all are gone. */
const [perConnection, perDeaf] = [0.01, 1]
const left = 15

/** Both ends of the connections are files, those of the clients in this process. */
function requireFiles(t: Test): boolean {
  const { userLimits } = process.report.getReport() as unknown as { userLimits?: Limits }
  const hard = Number(userLimits?.open_files?.hard ?? Number.POSITIVE_INFINITY)
  const needed = idle + slow + deaf + 500
  if (hard >= needed || Number.isNaN(hard)) return true
  cannotRun(t, 'connections', `${needed} open files are needed, and ${hard} allowed: raise the hard limit (ulimit -Hn)`)
  return false
}

interface Limits {
  readonly open_files?: { readonly soft: number | string; readonly hard: number | string }
}

t.test('attack 135: connections that are held, and the requests of everybody else', async (t) => {
  if (!requireFiles(t)) return
  const probe = await createMemoryProbe(t)
  const installation = await createInstallation(t, { processes: [{ name: 'one', role: 'serve', env: probe.env }] })
  const people = await registerPeople(installation)
  const server = installation.process('one')
  const memory = () => probe.measure(server.pid())

  /** The load of a crowd that comes, is looked at as `stay` says, and is gone. What it cost is measured against before. */
  const crowded = async (
    t: Test,
    fault: string,
    allowed: number,
    stay: (crowd: Crowd, look: () => Promise<void>, load: Load) => Promise<void>,
  ): Promise<void> => {
    const load = startLoad(t, installation, { ...people, ...(await registerVictims(installation)) })
    const crowd = openCrowd(server.port!)
    t.teardown(crowd.leave)
    await delay(2_000)
    const before = await memory()
    let during = before
    const look = async (): Promise<void> => {
      during = await memory()
    }
    await stay(crowd, look, load)
    t.ok(during.live - before.live <= allowed + left, `${during.live - before.live} MB while they are there`)
    crowd.leave()
    await delay(2_000)
    const after = await memory()
    t.ok(after.live - before.live <= left, `${after.live - before.live} MB are left`)

    const times = load.ledger.entries.map(({ invoked, returned }) => returned - invoked).sort((a, b) => a - b)
    const [most, longest] = [times[Math.floor(times.length * 0.99)]!, times.at(-1)!]
    t.ok(most <= bounds.most, `99 of 100 are answered within ${Math.round(most)} ms`)
    t.ok(longest <= bounds.all, `the longest took ${Math.round(longest)} ms`)
    const remark = `99 of 100 requests within ${Math.round(most)} ms, the longest ${Math.round(longest)} ms; ${before.live} MB live before, ${during.live} MB meanwhile, ${after.live} MB after; resident ${before.resident}, ${during.resident} and ${after.resident} MB`
    t.comment(remark)
    await reconcile(t, installation, load, { fault, rounds: 1, remark })
    t.equal(load.ledger.totals().unavailable, 0, 'nobody is refused for it')
  }

  await t.test('idle ones', (t) =>
    crowded(t, `${idle.toLocaleString('en')} idle connections`, idle * perConnection, async (crowd, look) => {
      const held = await crowd.join('idle', idle)
      t.ok(
        held.every(({ received }) => received().startsWith('HTTP/1.1 200 ')),
        'each was served once',
      )
      await delay(5_000)
      t.equal(crowd.open(), idle, 'all of them are kept')
      await look()
      if (isLong)
        await isCut(
          t,
          held,
          keepAliveTimeout,
          keepAliveTimeout + late,
          'what is idle for longer than a load balancer keeps it',
        )
    }),
  )

  await t.test('slow ones', (t) =>
    crowded(t, `${slow.toLocaleString('en')} slow connections`, slow * perConnection, async (crowd, look) => {
      const held: Held[] = []
      for (const kind of slowKinds) held.push(...(await crowd.join(kind, slow / slowKinds.length)))
      await delay(3_000)
      t.equal(crowd.open(), slow, 'all of them are slow')
      await look()
      const ofHeader = held.filter(({ kind }) => kind === 'silent' || kind === 'header')
      const ofBody = held.filter(({ kind }) => kind === 'body' || kind === 'stuck')
      await isCut(t, ofHeader, headersTimeout, headersTimeout + late, 'who sends no header in time')
      await isCut(t, ofBody, requestTimeout, requestTimeout + late, 'who sends no request in time')
      // Whoever sends nothing at all has asked for nothing.
      const told = held.filter(({ kind, received }) => kind !== 'silent' && received().startsWith('HTTP/1.1 408 '))
      t.equal(told.length, (slow / slowKinds.length) * 3, 'and each is told so')
    }),
  )

  await t.test('clients that never read their answers', (t) =>
    crowded(t, `${deaf} clients that read no answer`, deaf * perDeaf, async (crowd, look) => {
      const held = await crowd.join('deaf', deaf)
      await delay(filled)
      // On a busy machine some have sent too much before they are heard.
      t.ok(crowd.open() > 0, 'nothing more is taken from them')
      await look()
      // Its timer may have to run twice: what is taken at the beginning begins it anew.
      if (isLong) await isCut(t, held, 0, 2 * stalledTimeout + filled + late, 'who reads nothing')
    }),
  )

  await t.test('clients that ask as fast as they can, and read nothing', (t) =>
    crowded(t, `${greedy} clients at once that ask without end`, greedy * perDeaf, async (crowd, look, load) => {
      const before = load.ledger.entries.length
      for (let again = 0; again < form(3, 20); again++) {
        await isCut(t, await crowd.join('greedy', greedy), 0, late, 'who does not wait for answers')
        await delay(500)
      }
      await look()
      t.ok(load.ledger.entries.length > before, 'others are served meanwhile')
    }),
  )
})

/** Each was ended by the server when its time was over, and none before. Milliseconds, from its beginning. */
async function isCut(t: Test, held: readonly Held[], least: number, most: number, who: string): Promise<void> {
  const begun = Math.max(...held.map(({ since }) => since))
  const remaining = begun + most - performance.now()
  const all = (): boolean => held.every(({ ended }) => ended() !== undefined)
  await waitFor(all, Math.max(0, remaining) / 1000 + 1, `${who} is not cut`).catch(() => undefined)
  const lasted = held.map(({ since, ended }) => (ended() ?? Number.POSITIVE_INFINITY) - since)
  const [first, last] = [Math.min(...lasted), Math.max(...lasted)]
  t.ok(first >= least - 1_000 && last <= most, `${who} is cut after ${Math.round(first)} to ${Math.round(last)} ms`)
}
