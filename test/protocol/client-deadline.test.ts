import t, { type Test } from 'tap'
import { createJwksHost, makeKey, proofOf } from '../support/client-keys.js'
import { createTestServer } from '../support/server.js'
import { holdTimers } from '../support/timers.js'

const form = { grant_type: 'client_credentials' }
const forever = new Promise<never>(() => undefined)

/** So many that whatever can go on has gone on. */
async function turns(): Promise<'nothing'> {
  for (let count = 0; count < 50; count++) await new Promise(setImmediate)
  return 'nothing'
}

/** What is answered by now. */
async function statusOf(asking: Promise<{ readonly statusCode: number }>): Promise<number | 'nothing'> {
  return Promise.race([asking.then(({ statusCode }) => statusCode), turns()])
}

/** The deadline of a request. */
const holdDeadlines = (t: Test) => holdTimers(t, (milliseconds) => milliseconds > 900 && milliseconds <= 5_000)

t.test('whatever client authentication waits for, the answer is 503 after five seconds', async (t) => {
  const key = makeKey()
  const host = createJwksHost()
  const server = await createTestServer(t, { outbound: host.outbound })
  const jwksUri = 'https://client.example.com/jwks'
  const { clientId } = await server.createService('', {
    token_endpoint_auth_method: 'private_key_jwt',
    jwks_uri: jwksUri,
  })
  const asked = new Promise<void>((resolve) => {
    host.answer = () => {
      resolve()
      return forever
    }
  })
  const proof = await proofOf(server, key, clientId)
  const timers = holdDeadlines(t)
  for (const path of ['/token', '/introspect', '/revoke']) {
    const asking = server.post(path, { ...form, token: 'a', ...proof })
    await asked
    t.equal(await statusOf(asking), 'nothing', path)
    timers.goOff()
    t.equal(await statusOf(asking), 503, path)
    t.match((await asking).json(), { error: 'temporarily_unavailable' }, path)
  }
})

t.test('a slow hash does not count, and what comes after it does', async (t) => {
  const server = await createTestServer(t)
  const client = await server.createClient(
    { redirect_uris: undefined, grant_types: ['client_credentials'], client_secret: 'chosen by a person' },
    true,
  )
  const { passwords, keys } = server.ctx
  const { verify } = passwords
  let begun = () => {}
  let compare = () => {}
  const value = (hash: string, password: string): Promise<boolean> =>
    new Promise((resolve) => {
      compare = () => resolve(verify(hash, password))
      begun()
    })
  t.intercept(passwords, 'verify', { value })
  const timers = holdDeadlines(t)
  const ask = async (): Promise<Promise<{ readonly statusCode: number }>[]> => {
    const comparing = new Promise<void>((resolve) => {
      begun = resolve
    })
    const asking = server.post('/token', form, { authorization: client.basic })
    await comparing
    timers.goOff()
    t.equal(await statusOf(asking), 'nothing')
    compare()
    return [asking]
  }

  const [good] = await ask()
  t.equal((await good)?.statusCode, 200)

  const signing = new Promise<void>((resolve) => {
    const sign = () => {
      resolve()
      return forever
    }
    t.intercept(keys, 'sign', { value: sign })
  })
  const [late] = await ask()
  await signing
  t.equal(await statusOf(late!), 'nothing')
  timers.goOff()
  t.equal(await statusOf(late!), 503)
})
