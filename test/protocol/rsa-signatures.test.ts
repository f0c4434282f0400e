import { createHook } from 'node:async_hooks'
import t from 'tap'
import { createTestServer } from '../support/server.js'

const server = await createTestServer(t)

/** Whether it was signed by the thread pool, which alone calls back: what the event loop signs is a resource too, and returns. */
async function isPooled(alg: 'RS256' | 'ES256'): Promise<boolean> {
  const requests = new Set<number>()
  let calledBack = false
  const hook = createHook({
    init: (id, type) => void (type === 'SIGNREQUEST' && requests.add(id)),
    before(id) {
      if (requests.has(id)) calledBack = true
    },
  }).enable()
  await server.ctx.keys.sign({ sub: 'x' }, { alg, typ: 'JWT' })
  hook.disable()
  return calledBack
}

t.test('OIDC Core §10.1: RSA signatures go to the thread pool, and hold up no other request', async (t) => {
  t.equal(await isPooled('RS256'), true)
  t.equal(await isPooled('ES256'), false, 'a curve takes microseconds')
})
