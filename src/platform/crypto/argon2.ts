import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'

/** Memory in KiB, passes and lanes. RFC 9106 §3.1. */
export interface Argon2Cost {
  readonly memoryCost: number
  readonly timeCost: number
  readonly parallelism: number
}

export type Argon2Job =
  | { readonly kind: 'hash'; readonly password: string; readonly cost: Argon2Cost }
  | { readonly kind: 'verify'; readonly password: string; readonly hash: string }

/** What a thread answers. */
export type Argon2Outcome = { readonly result: string | boolean } | { readonly error: string }

interface Thread {
  readonly run: (job: Argon2Job) => Promise<Argon2Outcome>
}

/** Of the process, as libuv's threads are: as many as were ever busy at once. */
const idle: Thread[] = []

/**
 * Computes argon2id in threads that the system runs behind the others: while fifty people a second sign in, tokens
 * wait for milliseconds. libuv's threads are no place for it: they are as urgent as the event loop, and RSA signatures and
 * look-ups of names wait for them.
 *
 * @returns the hash, or whether it is the password's
 */
export async function computeArgon2(job: Argon2Job): Promise<string | boolean> {
  const thread = idle.pop() ?? startThread()
  const outcome = await thread.run(job)
  idle.push(thread)
  if ('error' in outcome) throw new Error(outcome.error)
  return outcome.result
}

function startThread(): Thread {
  // A thread begins with the process's flags, by which the event loop has room for what many requests make: 48 MB that it
  // would fill once. The heap of the event loop is there, and stays as it is.
  setFlagsFromString('--min-semi-space-size=1')
  const worker = new Worker(new URL('./argon2-thread.mjs', import.meta.url))
  let waiting: { resolve: (outcome: Argon2Outcome) => void; reject: (error: Error) => void } | undefined
  // A thread without work holds up the end of no process.
  worker.unref()
  worker.on('message', (outcome: Argon2Outcome) => {
    worker.unref()
    waiting?.resolve(outcome)
  })
  const end = (error: Error): void => {
    waiting?.reject(error)
    const at = idle.indexOf(thread)
    if (at >= 0) idle.splice(at, 1)
  }
  worker.on('error', end)
  worker.on('exit', (code) => end(new Error(`the thread that hashes passwords ended with ${code}`)))
  const thread: Thread = {
    run: (job) =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        worker.ref()
        worker.postMessage(job)
      }),
  }
  return thread
}
