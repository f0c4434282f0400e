import { setTimeout as delay } from 'node:timers/promises'
import type { Installation } from './installation.js'
import type { Account } from './people.js'
import { openWire, type Wire } from './wire.js'

/** A token that was asked for, by the machine's clock, as the log of the servers has it. */
export interface Sample {
  readonly sentAt: number
  readonly answeredAt: number
  readonly status: number
}

/** Requests of one client, at all servers by turns, many at once. */
export interface Flood {
  /** So many at once, each but once. */
  readonly burst: (requests: number) => Promise<void>
  /** Asks again and again, at each server, until that time. */
  readonly until: (end: number) => Promise<void>
  readonly samples: readonly Sample[]
}

/** Milliseconds between two requests of one client at one server. */
const pause = 20

export function openFlood(wire: Wire, { servers }: Installation, { basic }: Account): Flood {
  const samples: Sample[] = []
  const form = { grant_type: 'client_credentials' }

  async function ask(port: number): Promise<void> {
    const sentAt = Date.now()
    const outcome = await wire.send(port, { method: 'POST', path: '/token', form, headers: { authorization: basic } })
    const status = outcome.kind === 'answer' ? outcome.status : 0
    samples.push({ sentAt, answeredAt: Date.now(), status })
  }

  return {
    samples,
    async burst(requests) {
      const all = Array.from({ length: requests }, (_, index) => ask(servers[index % servers.length]!.port!))
      await Promise.all(all)
    },
    async until(end) {
      await Promise.all(
        servers.map(async ({ port }) => {
          while (Date.now() < end) {
            await ask(port!)
            await delay(pause)
          }
        }),
      )
    },
  }
}

export function wireTo({ issuer }: Installation): Wire {
  return openWire(new URL(issuer).host)
}
