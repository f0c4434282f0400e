// One process of a fuzz in several: a server, a database and seeds of its own. It is told by its parent what to do, and
// says every second that it is alive, after each round what came of it, and at last that this was all.

import type { Owner } from '../support/server.js'
import { type FuzzOptions, fuzz } from './fuzz.js'

const work: (() => unknown)[] = []
const owner: Owner = { fullname: 'fuzz', teardown: (end) => void work.push(end) }
const say = (message: object): void => void process.send?.(message)
const stop = new AbortController()
const pulse = setInterval(() => say({ kind: 'alive' }), 1_000)

// Nobody hears what is left: the databases of who was killed are dropped by the next who opens that PostgreSQL.
process.once('disconnect', () => process.exit(1))
// A terminal's interrupt reaches the whole group; the parent decides.
process.on('SIGINT', () => stop.abort())

process.on('message', async (message) => {
  if (message === 'stop') return stop.abort()
  try {
    const result = await fuzz(owner, {
      ...(message as FuzzOptions),
      signal: stop.signal,
      onRound: (result) => say({ kind: 'round', result }),
    })
    for (const end of work.reverse()) await end()
    clearInterval(pulse)
    process.send?.({ kind: 'over', result }, () => process.exit(0))
  } catch (error) {
    console.error(error)
    process.exit(1)
  }
})
