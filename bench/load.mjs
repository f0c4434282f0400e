// The process that sends requests. One job at a time comes by message; the answer says what happened.

import { runClosed } from './closed-loop.mjs'
import { collect, createAgent } from './http.mjs'
import { openLogin } from './logins.mjs'
import { runOpen } from './open-loop.mjs'

process.once('disconnect', () => process.exit(0))
process.on('message', async (message) => {
  try {
    process.send(await answer(message))
  } catch (error) {
    process.send({ error: error.stack })
  }
})

async function answer({ closed, open, logins }) {
  if (closed) return runClosed(closed)
  if (open) return runOpen(open)
  const agent = createAgent()
  try {
    return { requests: await collect(logins.count, () => openLogin(agent, logins.origin, logins.login)) }
  } finally {
    agent.destroy()
  }
}
