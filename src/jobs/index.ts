// Owns what happens in the background: run by `work`, and by `npm start` beside the server.

import type { Context } from '../context.js'
import { deleteLifted } from './lifted-revocations.js'
import { maintainPartitions } from './partitions.js'
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
]

export interface Worker {
  /** Waits for the job that runs. */
  readonly stop: () => Promise<void>
}

/** Runs each job at its interval until stopped. A job that fails is logged and runs again at its next turn. */
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
  return {
    async stop() {
      for (const timer of timers) clearInterval(timer)
      await running
    },
  }
}

export { maintainPartitions } from './partitions.js'
