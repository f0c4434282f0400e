import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import type { ProtectOptions } from '../../../packages/resource-server/src/index.js'
import { makeFolder, startProcess, waitFor } from '../../support/process.js'
import { openWire } from './wire.js'

const main = fileURLToPath(new URL('verifiers-main.mjs', import.meta.url))

/** What an API said of a token. Times are monotonic milliseconds. */
export interface Use {
  readonly verifier: number
  readonly sent: number
  readonly answered: number
  readonly status: number
  readonly retryAfter: string | undefined
  /** How its knowledge stood, by `health()`. */
  readonly before: string
  readonly after: string
  readonly reason: string
  /** What it does when its knowledge is too old. */
  readonly onStale: 'refuse' | 'introspect'
}

/** APIs, each with a verifier of its own. */
export interface Verifiers {
  readonly count: number
  /** Those of one API. */
  readonly of: (audience: string) => readonly number[]
  /** Shows the token to one of them. @throws where it does not answer: nothing is between it and the test */
  readonly show: (verifier: number, token: string) => Promise<Use>
}

export type VerifierOptions = Pick<ProtectOptions, 'issuer' | 'audience' | 'credentials' | 'tolerance' | 'onStale'> & {
  /** API keys as well. */
  readonly takesKeys?: boolean
}

/** Starts them in processes of their own, so that none of them waits for this one's event loop. */
export async function startVerifiers(t: Test, processes: readonly (readonly VerifierOptions[])[]): Promise<Verifiers> {
  const ports = await Promise.all(
    processes.map(async (verifiers): Promise<readonly number[]> => {
      const env = { OSTIARY_FAULT_VERIFIERS: JSON.stringify(verifiers) }
      const started = startProcess(t, { cwd: await makeFolder(t), main, args: [], env })
      await waitFor(
        () => {
          if (started.child.exitCode !== null) throw new Error(`the verifiers ended: ${started.stderr()}`)
          return started.stdout().endsWith('\n')
        },
        60,
        'the verifiers did not start in time',
      )
      return JSON.parse(started.stdout())
    }),
  )
  const all = ports.flat()
  const options = processes.flat()
  const wire = openWire('api.example.com')
  t.teardown(wire.close)
  return {
    count: all.length,
    of: (audience) => options.flatMap((each, verifier) => (each.audience === audience ? [verifier] : [])),
    async show(verifier, token) {
      const sent = performance.now()
      const headers = { authorization: `Bearer ${token}` }
      const outcome = await wire.send(all[verifier]!, { method: 'GET', path: '/orders', headers })
      if (outcome.kind !== 'answer') throw new Error(`a verifier did not answer: ${JSON.stringify(outcome)}`)
      const header = (name: string): string => String(outcome.headers[name] ?? '')
      return {
        verifier,
        sent,
        answered: performance.now(),
        status: outcome.status,
        retryAfter: outcome.headers['retry-after'],
        before: header('knowledge-before'),
        after: header('knowledge-after'),
        reason: header('reason'),
        onStale: options[verifier]!.onStale ?? 'refuse',
      }
    },
  }
}
