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
}

/** APIs, each with a verifier of its own. */
export interface Verifiers {
  readonly count: number
  /** Shows the token to one of them. @throws where it does not answer: nothing is between it and the test */
  readonly show: (verifier: number, token: string) => Promise<Use>
}

type VerifierOptions = Pick<ProtectOptions, 'issuer' | 'audience' | 'credentials' | 'tolerance' | 'onStale'>

/** Starts so many in each of some processes, so that none of them waits for this one's event loop. */
export async function startVerifiers(
  t: Test,
  { processes, each, ...options }: VerifierOptions & { readonly processes: number; readonly each: number },
): Promise<Verifiers> {
  const ports = await Promise.all(
    Array.from({ length: processes }, async (): Promise<readonly number[]> => {
      const env = { OSTIARY_FAULT_VERIFIERS: JSON.stringify({ ...options, count: each }) }
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
  const wire = openWire('api.example.com')
  t.teardown(wire.close)
  return {
    count: all.length,
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
      }
    },
  }
}
