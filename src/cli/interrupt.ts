import { AdministrationError } from '../platform/administration-errors.js'
import type { CommandIo } from './command.js'

/** Stopped in the middle; the message says how to go on. */
export class InterruptedError extends AdministrationError {
  readonly kind = 'interrupted'
}

/** Ctrl-C and SIGTERM abort the signal instead of ending the process, so that what is under way comes to its end. */
export async function untilInterrupted<Result>(
  io: CommandIo,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const stop = new AbortController()
  const interrupt = (): void => stop.abort()
  io.signal?.addEventListener('abort', interrupt)
  if (io.signal?.aborted) interrupt()
  for (const name of signals) process.once(name, interrupt)
  try {
    return await work(stop.signal)
  } finally {
    io.signal?.removeEventListener('abort', interrupt)
    for (const name of signals) process.off(name, interrupt)
  }
}

const signals = ['SIGINT', 'SIGTERM'] as const
