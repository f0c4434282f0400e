// The ceiling of a login: nothing but the hash, with the server's own cost, two at a time as the server has it.

import { createPasswordHasher } from '../../dist/platform/crypto/password.js'
import { serve } from './child.mjs'

const password = 'several plain words here'

serve(async () => {
  const hasher = createPasswordHasher({ queue: 1 })
  const hash = await hasher.hash(password)
  return {
    jobs: { hash: { loop: 'hash' } },
    actions: {
      async loop({ seconds }) {
        const times = []
        const startedAt = performance.now()
        const endAt = startedAt + seconds * 1000
        const one = async () => {
          while (performance.now() < endAt) {
            const since = performance.now()
            if (!(await hasher.verify(hash, password))) throw new Error('the right password was called wrong')
            times.push(performance.now() - since)
          }
        }
        await Promise.all([one(), one()])
        const elapsed = (performance.now() - startedAt) / 1000
        times.sort((a, b) => a - b)
        const at = (share) => times[Math.floor(times.length * share)]
        return { requests: times.length, elapsed, p50: at(0.5), p99: at(0.99), busy: 0, verified: 0 }
      },
    },
  }
})
