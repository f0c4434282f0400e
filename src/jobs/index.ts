// Owns what happens in the background: run by `work`, and by `npm start` beside the server.

import type { Context } from '../context.js'
import { createDelivery } from './deliver-outbox.js'
import { deleteLifted } from './lifted-revocations.js'
import { maintainPartitions } from './partitions.js'
import { sweepRateLimits } from './rate-limits.js'
import { rotateKeys } from './rotate-keys.js'

interface Job {
  readonly name: string
  /** Seconds between two runs of one worker. Several workers do no harm: each job takes a lock of its own. */
  readonly every: number
  readonly run: (ctx: Context) => Promise<void>
}

const jobs: readonly Job[] = [
  { name: 'partitions', every: 900, run: maintainPartitions },
  { name: 'signing keys', every: 60, run: rotateKeys },
  { name: 'lifted revocations', every: 3600, run: deleteLifted },
  { name: 'rate limits', every: 900, run: sweepRateLimits },
]

/** Milliseconds between looks at what is due in the outbox. What is new is notified besides. */
const lookInterval = 1_000

export interface Worker {
  /** Waits for the job that runs, and a little for what is being delivered. */
  readonly stop: () => Promise<void>
}

/** Runs each job at its interval until stopped, and delivers what waits in the outbox. A job that fails is logged and runs again at its next turn. */
export function startWorker(ctx: Context): Worker {
  let running = Promise.resolve()
  const timers = jobs.map((job) => {
    const run = (): void => {
      running = running.then(async () => {
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
      await Promise.all([running, delivery.stop()])
    },
  }
}

export { createDelivery, type Delivery } from './deliver-outbox.js'
export { maintainPartitions } from './partitions.js'
