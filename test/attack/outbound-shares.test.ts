import t from 'tap'
import { clientLogoPath } from '../../src/interaction/consent/client-logo.route.js'
import { createDelivery } from '../../src/jobs/index.js'
import { createOutbound, type OutboundAnswer } from '../../src/platform/outbound/index.js'
import { revoke } from '../../src/revocation/index.js'
import { authorizationUrl, redirectUri } from '../support/authorization.js'
import { jwksAnswer, makeKey, proofOf } from '../support/client-keys.js'
import { relyingParty, sessionAt, waitingLogouts } from '../support/logout.js'
import { type Registered, registered } from '../support/registration.js'
import { createTestServer } from '../support/server.js'
import { by, deliver } from '../support/telling.js'

// Strangers name hosts that take a request and say nothing, as many as they like. What operators named is asked all the same.

const key = makeKey()
const byKey = (uri: string) => ({ token_endpoint_auth_method: 'private_key_jwt', jwks_uri: uri })
const env = {
  ...{ REGISTRATION: 'open', REGISTRATION_QUOTA: '1000', CLIENT_ID_METADATA_DOCUMENTS: 'on' },
  ...{ FAILURES_PER_NETWORK: '100000', FAILURES_PER_CLIENT: '1000' },
}

/** Everybody out there: hosts of `slow.example` are held, others say what they have. The bounds are the real ones. */
function createWorld() {
  const held: (() => void)[] = []
  const asked: string[] = []
  const answers = new Map<string, () => OutboundAnswer>()
  const missing: OutboundAnswer = { status: 404, headers: {}, body: Buffer.alloc(0) }
  const outbound = createOutbound({
    allow: [],
    timeout: 60_000,
    resolve: async () => ['93.184.215.14'],
    send: (url) =>
      new Promise((resolve) => {
        asked.push(url.href)
        if (url.host.endsWith('.slow.example')) held.push(() => resolve(missing))
        else resolve(answers.get(url.href)?.() ?? missing)
      }),
  })
  return { held, asked, answers, outbound }
}

const { held, asked, answers, outbound } = createWorld()
const server = await createTestServer(t, { env, outbound })
// One after the other: more than there are places at once would be refused.
const strangers: Registered[] = []
for (let index = 0; index < 70; index++) {
  strangers.push(await registered(server, byKey(`https://h${index}.slow.example/jwks`)))
}

const ask = async ({ clientId }: { readonly clientId: string }) =>
  server.post('/token', { grant_type: 'client_credentials', ...(await proofOf(server, key, clientId)) })

let hosts = 0

/** Where a client that an operator registered has its keys. */
function publishKeys(): string {
  const url = `https://keys.own${++hosts}.example/jwks`
  answers.set(url, () => jwksAnswer([key.jwk]))
  return url
}

/** Does it while all that strangers ask for is held or was refused. */
async function meanwhile(waiting: readonly Promise<unknown>[], work: () => Promise<void>): Promise<void> {
  let answered = 0
  for (const each of waiting) void each.finally(() => answered++)
  while (held.length + answered < waiting.length) await new Promise(setImmediate)
  await work()
  for (const answer of held.splice(0)) answer()
  await Promise.all(waiting)
  // Keys that could not be had are asked for again.
  server.clock.advance(60)
}

t.test('attack 95: jwks_uri of strangers that hang do not stop a client whose keys an operator named', async (t) => {
  const own = await server.createService('', byKey(publishKeys()))
  await meanwhile(strangers.map(ask), async () => {
    t.equal((await ask(own)).statusCode, 200)
  })
})

t.test('attack 95: a stranger who names an operator’s jwks_uri does not hold it back', async (t) => {
  const uri = publishKeys()
  const own = await server.createService('', byKey(uri))
  const double = await registered(server, byKey(uri))
  await meanwhile(strangers.map(ask), async () => {
    t.equal((await ask(double)).statusCode, 503, 'there is no place for it')
    t.equal((await ask(own)).statusCode, 200, 'what became of that is not the operator’s')
  })
})

t.test('attack 95: nor do they stop logouts', async (t) => {
  const backchannel_logout_uri = 'https://app.own.example/logout'
  answers.set(backchannel_logout_uri, () => ({ status: 200, headers: {}, body: Buffer.alloc(0) }))
  const client = await server.createClient({ ...relyingParty, backchannel_logout_uri })
  const user = await server.createUser()
  await sessionAt(server, [client], user.id)
  const delivery = createDelivery(server.ctx)
  t.teardown(() => delivery.stop())
  await revoke(server.ctx, { kind: 'user', userId: user.id }, { ...by, reason: 'test' })
  t.equal((await waitingLogouts(server)).length, 1)
  await meanwhile(strangers.map(ask), async () => {
    await deliver(delivery)
    t.same(await waitingLogouts(server), [])
  })
})

t.test('attack 95: documents that hang leave places for keys, of strangers too', async (t) => {
  const keys = publishKeys()
  const own = await server.createService('', byKey(publishKeys()))
  const stranger = await registered(server, byKey(keys))
  const waiting = Array.from({ length: 70 }, (_, index) =>
    server.get(authorizationUrl({ clientId: `https://d${index}.slow.example/client.json` }, { scope: 'openid' })),
  )
  await meanwhile(waiting, async () => {
    t.equal(held.length, 8)
    t.equal((await ask(own)).statusCode, 200)
    await ask(stranger)
    t.ok(asked.includes(keys))
  })
})

t.test('attack 33: request objects of strangers that hang leave those that operators named', async (t) => {
  const request_uri = 'https://app.own.example/object'
  const own = await server.createClient({ request_uris: [request_uri] })
  const waiting: Promise<unknown>[] = []
  for (let index = 0; index < 10; index++) {
    const uri = `https://r${index}.slow.example/object`
    const stranger = await registered(server, { redirect_uris: [redirectUri], request_uris: [uri] })
    waiting.push(server.get(authorizationUrl(stranger, { request_uri: uri })))
  }
  await meanwhile(waiting, async () => {
    t.equal(held.length, 8)
    await server.get(authorizationUrl(own, { request_uri }))
    t.ok(asked.includes(request_uri))
  })
})

t.test('attack 95: logos of strangers that hang leave those that operators named', async (t) => {
  const logo_uri = 'https://app.own.example/logo.png'
  const body = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
  answers.set(logo_uri, () => ({ status: 200, headers: {}, body }))
  const own = await server.createClient({ logo_uri })
  const logoOf = ({ clientId }: { readonly clientId: string }) => server.get(clientLogoPath(server.ctx, clientId))
  const waiting: Promise<unknown>[] = []
  for (let index = 0; index < 10; index++) {
    waiting.push(logoOf(await registered(server, { logo_uri: `https://l${index}.slow.example/logo.png` })))
  }
  await meanwhile(waiting, async () => {
    t.equal(held.length, 8)
    t.equal((await logoOf(own)).statusCode, 200)
  })
})
