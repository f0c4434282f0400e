// Owns what happens in the background: run by `work`, and by `npm start` beside the server.

import type { Context } from '../context.js'
import { endKeyRows } from './api-key-ends.js'
import { createDelivery } from './deliver-outbox.js'
import { deleteLifted } from './lifted-revocations.js'
import { maintainPartitions } from './partitions.js'
import { sweepRateLimits } from './rate-limits.js'
import { remind } from './remind.js'
import { rotateKeys } from './rotate-keys.js'
import { deleteUnusedClients } from './unused-clients.js'

interface Job {
  readonly name: string
  /** Seconds between two runs of one worker. Several workers do no harm. */
  readonly every: number
  readonly run: (ctx: Context) => Promise<void>
  /** It may take long, and holds up no other. */
  readonly apart?: boolean
}

const jobs: readonly Job[] = [
  { name: 'partitions', every: 900, run: maintainPartitions },
  { name: 'signing keys', every: 60, run: rotateKeys },
  { name: 'lifted revocations', every: 3600, run: deleteLifted },
  { name: 'ends of API keys', every: 10, run: endKeyRows },
  { name: 'rate limits', every: 900, run: sweepRateLimits },
  { name: 'reminders', every: 900, run: remind, apart: true },
  { name: 'unused clients', every: 300, run: deleteUnusedClients },
]

/** Milliseconds between looks at what is due in the outbox. What is new is notified besides. */
const lookInterval = 1_000

export interface Worker {
  /** Waits for the job that runs, and a little for what is being delivered. */
  readonly stop: () => Promise<void>
}

/** Runs each job at its interval until stopped, and delivers what waits in the outbox. A job that fails is logged and runs again at its next turn. */
export function startWorker(ctx: Context): Worker {
  const chains = { shared: Promise.resolve(), apart: Promise.resolve() }
  const timers = jobs.map((job) => {
    const chain = job.apart ? 'apart' : 'shared'
    const run = (): void => {
      chains[chain] = chains[chain].then(async () => {
        try {
          await job.run(ctx)
        } catch (error) {
          ctx.log.error({ err: error, job: job.name }, 'a background job failed')
        }
      })
    }
    const timer = setInterval(run, job.every * 1000)
    timer.unref()
    return timer
  })
  const delivery = createDelivery(ctx)
  const look = (retry = false): void => {
    if (retry) delivery.endRests()
    delivery.look().catch((error) => ctx.log.warn({ err: error }, 'the outbox could not be read'))
  }
  const stopHearing = ctx.onMessage(look)
  timers.push(setInterval(() => look(), lookInterval).unref())
  look()
  return {
    async stop() {
      stopHearing()
      for (const timer of timers) clearInterval(timer)
      await Promise.all([chains.shared, chains.apart, delivery.stop()])
    },
  }
}

export { createDelivery, type Delivery } from './deliver-outbox.js'
export { maintainPartitions } from './partitions.js'
export { remind } from './remind.js'
export { deleteUnusedClients } from './unused-clients.js'
