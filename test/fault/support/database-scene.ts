import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { createDatabaseProxy, type DatabaseProxy } from '../../support/database-proxy.js'
import { waitFor } from '../../support/process.js'
import { type Chance, chance } from './chance.js'
import { seed } from './form.js'
import { createInstallation, type Installation } from './installation.js'
import { type Load, startLoad } from './load.js'
import { type People, registerPeople, registerVictims } from './people.js'
import type { PostgresServer } from './postgres-server.js'
import { type FaultReport, reconcile } from './reconcile.js'

/** Two server processes, their PostgreSQL, and between them a network that the test commands. */
export interface DatabaseScene {
  readonly installation: Installation
  readonly postgres: PostgresServer
  readonly proxy: DatabaseProxy
  readonly people: People
}

export async function openDatabaseScene(t: Test, postgres: PostgresServer): Promise<DatabaseScene> {
  const proxy = await createDatabaseProxy(t, postgres.url)
  const installation = await createInstallation(t, {
    processes: [
      { name: 'one', role: 'serve' },
      { name: 'two', role: 'serve' },
    ],
    databaseUrl: postgres.url,
    through: async () => proxy.url,
  })
  return { installation, postgres, proxy, people: await registerPeople(installation) }
}

export interface Struck {
  /** As the round before has left it. */
  readonly scene: DatabaseScene
  readonly round: number
  readonly chance: Chance
  readonly load: Load
  /** From now on this is the scene: another server is the primary, say. */
  readonly goOnAt: (scene: DatabaseScene) => void
}

/** Milliseconds that a request of a program may take, whatever the database does; the server's own deadline is 5 s. */
const bound = 8_000
/** Seconds until a server whose database is back must be ready, without a restart. */
const healing = 15

/**
 * Strikes as often as the report says, with clients at work all the while, and holds afterwards what they were told
 * against what is there. The servers must heal by themselves after each time.
 *
 * @param strike does the harm, and takes it back
 */
export async function survive(
  t: Test,
  scene: DatabaseScene,
  report: FaultReport,
  strike: (struck: Struck) => Promise<unknown>,
): Promise<void> {
  let current = scene
  const luck = chance(`${seed}/${report.fault}`)
  const victims = await registerVictims(scene.installation)
  const load = startLoad(t, scene.installation, { ...scene.people, ...victims })
  const pids = scene.installation.servers.map((server) => server.pid())
  for (let round = 0; round < report.rounds; round++) {
    await delay(luck.between(300, 900))
    const over = load.ledger.fault(undefined, 'answers')
    const goOnAt = (next: DatabaseScene): void => {
      current = next
    }
    await strike({ scene: current, round, chance: luck, load, goOnAt })
    const since = performance.now()
    await healed(current)
    t.comment(`round ${round + 1}: healed after ${Math.round(performance.now() - since)} ms`)
    over()
  }
  await delay(300)
  await reconcile(t, current.installation, load, report)

  t.same(
    current.installation.servers.map((server) => server.pid()),
    pids,
    'no server was started anew',
  )
  const slow = load.ledger.entries.filter(
    ({ kind, invoked, returned }) => kind !== 'login' && returned - invoked > bound,
  )
  t.same(
    slow.map(({ kind, target, invoked, returned }) => `${kind} at ${target}: ${Math.round(returned - invoked)} ms`),
    [],
    'every program had its answer in time',
  )
}

/** Every process is ready again, and hears again what others change. */
async function healed({ installation, postgres }: DatabaseScene): Promise<void> {
  for (const { name, port, output } of installation.servers) {
    const isReady = async () => (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.status === 200
    await waitFor(isReady, healing, `${name} does not heal`).catch((error) => {
      throw new Error(`${error.message}: ${output().slice(-4000)}`)
    })
  }
  const listens = async (): Promise<boolean> => {
    const rows = await postgres.sql(`SELECT 1 FROM pg_stat_activity WHERE application_name = 'ostiary listener'`)
    return rows.length === installation.servers.length
  }
  await waitFor(listens, healing, 'a server does not listen again')
}
