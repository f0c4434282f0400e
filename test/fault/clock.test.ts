import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { chance } from './support/chance.js'
import { createClocks, type MovableClocks, readings } from './support/clocks.js'
import { form, seed } from './support/form.js'
import { createInstallation, type Installation, twoServersAndWorker } from './support/installation.js'
import { type Load, startLoad } from './support/load.js'
import { type People, registerPeople, registerVictims } from './support/people.js'
import { reconcile } from './support/reconcile.js'

interface Scene {
  readonly installation: Installation
  readonly clocks: MovableClocks
  readonly people: People
}

const all = twoServersAndWorker.map(({ name }) => name)

async function openScene(t: Test): Promise<Scene> {
  const clocks = await createClocks(t, all)
  const installation = await createInstallation(t, {
    processes: twoServersAndWorker.map((each) => ({ ...each, env: clocks.env(each.name) })),
    clocks,
    // A whole number of them to each jump: so it is known of every count which window it belongs to.
    env: { FAILURE_WINDOW: '3600' },
  })
  return { installation, clocks, people: await registerPeople(installation) }
}

async function startLoadOf(t: Test, { installation, people }: Scene): Promise<Load> {
  const victims = await registerVictims(installation)
  return startLoad(t, installation, { ...people, ...victims })
}

/** Each is ready, and issues tokens by the clock that it was given. */
async function allServe(t: Test, { installation, clocks, people }: Scene, when: string): Promise<void> {
  for (const { name, port } of installation.servers) {
    t.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200, `${name} is ready ${when}`)
    const asked = performance.now()
    const reply = await fetch(`http://127.0.0.1:${port}/token`, {
      method: 'POST',
      headers: { authorization: people.service.basic },
      body: new URLSearchParams({ grant_type: 'client_credentials' }),
    })
    const { access_token: token } = JSON.parse(await reply.text())
    const { iat } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString())
    const { from, to } = readings(clocks, name, asked, performance.now())
    t.ok(iat * 1000 > from - 2000 && iat * 1000 < to + 1000, `${name} has the time that it was given, ${when}`)
  }
}

/** Answers that a jump explains: what was presented was over by the clock of the process that was asked. */
function refusedByRule({ ledger }: Load): number {
  const operations = ledger.histories().flatMap((history) => history.operations)
  return operations.filter(({ late, answer }) => late && (answer === 'refused' || answer === 'inactive')).length
}

const inWords = (hours: number): string =>
  `${Math.abs(hours) === 24 ? 'a day' : 'an hour'} ${hours > 0 ? 'ahead' : 'back'}`

// Back by a day first: what a worker that is a day ahead drops, nobody is told to be in need of afterwards.
const jumps = [1, -1, -24, 24]

/**
 * A jump excuses nobody from an answer. What is over by the clock of the process that is asked is refused by rule: a code or
 * access token of before a jump ahead, a retry whose window is over (which ends the grant, for a thief's would look the same).
 * Refresh tokens, revocations and what was spent outlast each of these jumps.
 */
t.test('attack 133: the clocks of all processes jump together', async (t) => {
  const scene = await openScene(t)
  const { installation, clocks } = scene
  for (const hours of jumps) {
    await t.test(inWords(hours), async (t) => {
      const luck = chance(`${seed}/together ${hours}`)
      const load = await startLoadOf(t, scene)
      const rounds = form(1, 8)
      for (let round = 0; round < rounds; round++) {
        await delay(luck.between(500, 1200))
        clocks.set(all, hours)
        await delay(luck.between(500, 1200))
        await allServe(t, scene, 'after the jump')
        clocks.set(all, 0)
      }
      await delay(luck.between(300, 900))
      clocks.set(all, hours)
      // It makes and drops partitions by the clock that it is started with.
      const worker = installation.process('worker')
      await worker.end('SIGTERM')
      await worker.start()
      await delay(500)
      const fault = `the clock jumps ${inWords(hours)}`
      await reconcile(t, installation, load, { fault, rounds: 2 * rounds + 1 })
      t.equal(load.ledger.totals().unavailable, 0, 'nobody was sent away')
      const late = refusedByRule(load)
      t.comment(`${late} refused as over`)
      t.ok(hours < 0 || late > 0, 'a jump ahead is the end of what was good before')
      clocks.set(all, 0)
      await allServe(t, scene, 'when the clock is right again')
    })
  }
})

/**
 * Two processes that disagree about the time: what one of them refuses by rule, the other may grant, if nothing was spent. A
 * retry at the process that is ahead is late by more than the window, and ends the grant. Guesses at a secret have the
 * bound of one window at each of the two, and no more. All that was spent or revoked is so at both.
 */
t.test('attack 133: the clock of one of two processes jumps', async (t) => {
  const scene = await openScene(t)
  const { installation, clocks } = scene
  for (const hours of jumps) {
    await t.test(inWords(hours), async (t) => {
      const luck = chance(`${seed}/alone ${hours}`)
      const load = await startLoadOf(t, scene)
      const rounds = form(1, 8)
      for (let round = 0; round < rounds; round++) {
        const one = [luck.oneOf(['one', 'two'])]
        await delay(luck.between(500, 1200))
        clocks.set(one, hours)
        await delay(luck.between(800, 2000))
        await allServe(t, scene, 'while they disagree')
        clocks.set(one, 0)
      }
      await delay(500)
      const fault = `the clock of one of two processes jumps ${inWords(hours)}`
      await reconcile(t, installation, load, { fault, rounds: 2 * rounds })
      t.equal(load.ledger.totals().unavailable, 0, 'nobody was sent away')
      t.comment(`${refusedByRule(load)} refused as over`)
    })
  }
})
