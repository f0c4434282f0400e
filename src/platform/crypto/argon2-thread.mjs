// A thread that computes one hash after the other, whenever nothing more urgent is to be done. JavaScript, since what
// compiles TypeScript for the tests does not reach into threads.

import { readlinkSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { hashSync, verifySync } from '@node-rs/argon2'

/**
 * Linux has priorities of threads, by the number that stands here. Elsewhere it runs like any other. A tenth of what is busy
 * on the same core is left to it: at the lowest priority nobody signs in on a machine that is busy with something else.
 */
function stepBack() {
  try {
    const [number] = readlinkSync('/proc/thread-self').split('/').slice(-1)
    setPriority(Number(number), constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // Others are slower for it, and nothing else.
  }
}

/**
 * @param {import('./argon2.js').Argon2Job} job
 * @returns {import('./argon2.js').Argon2Outcome}
 */
function compute(job) {
  try {
    return { result: job.kind === 'hash' ? hashSync(job.password, job.cost) : verifySync(job.hash, job.password) }
  } catch (error) {
    return { error: String(error) }
  }
}

stepBack()
parentPort?.on('message', (job) => parentPort?.postMessage(compute(job)))
