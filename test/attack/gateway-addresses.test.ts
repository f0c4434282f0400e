import t from 'tap'
import { createApiKey } from '../../src/api-keys/index.js'
import { updateClient } from '../../src/clients/index.js'
import { createTestGateway } from '../support/gateways.js'
import { createTestServer, type TestServer } from '../support/server.js'

const server = await createTestServer(t)
const { ctx } = server
const by = { actor: 'operator' }
const identifier = 'https://orders.example'
await server.createResource(identifier, 'read', { acceptsBasic: true })
const service = await server.createService('read')
const settings = { resource: identifier, scope: ['read'], accept: ['access-token', 'api-key', 'basic'] }
const orders = await createTestGateway(server, 'orders', { ...settings, forwardsAddress: true })
const blind = await createTestGateway(server, 'blind', settings)

/** Where the caller, the gateway, and the proxy in front of the server are; and what the caller would like to be. */
const caller = '203.0.113.7'
const gateway = '198.51.100.5'
const proxy = '10.0.0.9'
const forged = '192.0.2.7'

const trusting = async (TRUST_PROXY: string) => createTestServer(t, { beside: server, env: { TRUST_PROXY } })
const behindProxy = await trusting(proxy)
const behindTwo = await trusting(`${proxy},10.0.0.8`)
const behindAll = await trusting('uniquelocal')
/** As a proxy in front of the server that is the gateway as well is named. */
const behindGateway = await trusting(gateway)

async function keyOf(network: string): Promise<string> {
  const owner = { kind: 'client', id: service.clientId } as const
  const { text = '' } = await createApiKey(ctx, { owner, name: 'Test', scope: ['read'], networks: [network] }, by)
  return `Bearer ${text}`
}

/** A key for each place that could be taken for the caller's. */
const places = [caller, gateway, proxy, forged, '10.0.0.8', '10.0.0.77', '2001:db8::7']
const keys = new Map(await Promise.all(places.map(async (place) => [place, await keyOf(place)] as const)))

interface Asked {
  readonly at?: TestServer
  readonly peer: string
  readonly forwarded?: string
  /** Behind the credential of the gateway. */
  readonly says?: string
  readonly more?: Readonly<Record<string, string>>
}

/** @returns the place whose key is good, of which there is one at most */
async function placeSeen({ at = server, peer, forwarded, says = '', more = {} }: Asked): Promise<string | undefined> {
  const fields = { ...more, 'x-forwarded-for': forwarded, 'x-gateway-authorization': `${orders.basic}${says}` }
  const good: string[] = []
  for (const [place, authorization] of keys) {
    const { statusCode } = await orders.ask({ ...fields, authorization }, { at, remoteAddress: peer })
    if (statusCode !== 200 && statusCode !== 401) throw new Error(`${statusCode}`)
    if (statusCode === 200) good.push(place)
  }
  if (good.length > 1) throw new Error(`${good}`)
  return good[0]
}

t.test('attack 101: without TRUST_PROXY the peer is the gateway, and the last address what it wrote', async (t) => {
  for (const [forwarded, seen] of [
    [caller, caller],
    [`${forged}, ${caller}`, caller],
    [`${forged},${caller}:5678`, caller],
    [`::ffff:${caller}`, caller],
    [`${forged}, [2001:DB8::0:7]:443`, '2001:db8::7'],
    [`${forged}, nonsense`, undefined],
    [`${forged},`, undefined],
    ['', undefined],
  ] as const) {
    t.equal(await placeSeen({ peer: gateway, forwarded }), seen, forwarded)
    t.equal(await placeSeen({ peer: `::ffff:${gateway}`, forwarded }), seen, forwarded)
  }
  t.equal(await placeSeen({ peer: gateway }), undefined)
})

t.test('attack 101: what a proxy in front of the server wrote is the gateway, never its caller', async (t) => {
  for (const [forwarded, seen] of [
    // A proxy that appends.
    [`${caller}, ${gateway}`, caller],
    [`${forged}, ${caller}, ${gateway}`, caller],
    [`::ffff:${caller}, ::ffff:${gateway}`, caller],
    [`${caller},${gateway}`, caller],
    // One that writes its peer over all else: what the gateway said is gone.
    [gateway, undefined],
    // And what is none of it.
    [`${caller}, nonsense`, undefined],
    [`nonsense, ${gateway}`, undefined],
    [`${caller}, `, undefined],
    ['', undefined],
  ] as const) {
    for (const peer of [proxy, `::ffff:${proxy}`]) {
      t.equal(await placeSeen({ at: behindProxy, peer, forwarded }), seen, forwarded)
    }
  }
  const two = { at: behindTwo, peer: '10.0.0.8' }
  t.equal(await placeSeen({ ...two, forwarded: `${forged}, ${caller}, ${gateway}, ${proxy}` }), caller)
  t.equal(await placeSeen({ ...two, forwarded: `${gateway}, ${proxy}` }), undefined)
  t.equal(
    await placeSeen({ at: behindProxy, peer: gateway, forwarded: `${forged}, ${caller}` }),
    caller,
    'past the proxy',
  )
})

t.test('an address that TRUST_PROXY names is no caller, and hides whether there was one', async (t) => {
  const at = behindAll
  t.equal(await placeSeen({ at, peer: proxy, forwarded: `10.0.0.77, ${gateway}` }), undefined, 'it asks for somebody')
  t.equal(await placeSeen({ at, peer: proxy, forwarded: `${forged}, 10.0.0.8, ${gateway}` }), undefined)
  t.equal(await placeSeen({ at, peer: proxy, forwarded: `${caller}, 10.0.0.8` }), undefined, 'the gateway is not known')
  t.equal(await placeSeen({ at, peer: proxy, forwarded: '10.0.0.77, 10.0.0.8' }), undefined)
})

t.test('a gateway that TRUST_PROXY names says by what address it is known', async (t) => {
  const says = '; by=10.0.0.8'
  const at = behindAll
  t.equal(await placeSeen({ at, says, peer: '10.0.0.8', forwarded: `${forged}, ${caller}` }), caller)
  t.equal(await placeSeen({ at, says, peer: proxy, forwarded: `${forged}, ${caller}, 10.0.0.8` }), caller)
  t.equal(await placeSeen({ at, says, peer: proxy, forwarded: '10.0.0.8' }), undefined)
  t.equal(await placeSeen({ at, says, peer: proxy, forwarded: `${forged}, ${caller}, 10.0.0.7` }), undefined)
  t.equal(await placeSeen({ at, says, peer: caller, forwarded: `${forged}, 10.0.0.8` }), undefined, 'not named by us')
  const both = { at: behindGateway, peer: gateway, says: `;by=${gateway}/32` }
  t.equal(await placeSeen({ ...both, forwarded: caller }), caller)
  t.equal(await placeSeen({ ...both, forwarded: `${forged}, ${caller}` }), caller)
})

t.test('what stands behind the credential of the gateway is believed, whatever proxies write', async (t) => {
  for (const [says, seen] of [
    [`; for=${caller}`, caller],
    [`;for=${caller}`, caller],
    [`; for=::ffff:${caller}`, caller],
    ['; for=2001:db8:0::7', '2001:db8::7'],
    ['; for=10.0.0.77', '10.0.0.77'],
    ['; for=unix:', undefined],
    ['; for=', undefined],
    [`; for=${caller}, ${forged}`, undefined],
  ] as const) {
    for (const forwarded of [undefined, gateway, `${forged}, ${gateway}`, forged]) {
      for (const at of [server, behindProxy, behindAll]) {
        t.equal(await placeSeen({ at, peer: proxy, forwarded, says }), seen, `${says} ${forwarded}`)
      }
    }
  }
})

t.test('nothing else in the header says where the caller is', async (t) => {
  const more = {
    forwarded: `for=${forged}`,
    'x-real-ip': forged,
    'x-client-ip': forged,
    for: forged,
    'x-gateway-for': forged,
    'x-envoy-external-address': forged,
  }
  for (const at of [server, behindProxy]) {
    t.equal(await placeSeen({ at, peer: gateway, more }), undefined)
    t.equal(await placeSeen({ at, peer: gateway, more, says: `; for=${caller}` }), caller)
  }
  // A caller of a gateway that lets such a field through does not know its credential; two fields are one too many.
  const { basic } = orders
  const authorization = keys.get(forged)
  for (const field of [`; for=${forged}`, `for=${forged}`, [`${basic}; for=${caller}`, `${basic}; for=${forged}`]]) {
    t.equal((await orders.ask({ authorization, 'x-gateway-authorization': field })).statusCode, 400, `${field}`)
  }
})

t.test('what else stands behind the credential is no credential', async (t) => {
  const authorization = keys.get(caller)
  for (const says of [
    ';',
    `; ${caller}`,
    `; from=${caller}`,
    `; for=${caller}; for=${forged}`,
    `; for=${caller}; by=${gateway}`,
    '; by=',
    '; by=gateway',
    '; by=10.0.0.9/8',
  ]) {
    const field = `${orders.basic}${says}`
    t.equal((await orders.ask({ authorization, 'x-gateway-authorization': field })).statusCode, 400, says)
  }
  t.ok((await server.logs).some((line) => line.includes('gateway_credential_malformed')))
})

t.test('a gateway that is not to say addresses is not asked for them', async (t) => {
  const authorization = keys.get(caller)
  const field = `${blind.basic}; for=${caller}`
  const reply = await blind.ask({ authorization, 'x-gateway-authorization': field, 'x-forwarded-for': caller })
  t.equal(reply.statusCode, 401)
})

t.test('the audit says why nobody knows where a caller is, and of whom', async (t) => {
  await ctx.audit.flush()
  await behindProxy.ctx.audit.flush()
  await behindAll.ctx.audit.flush()
  const refused = await server.audit('api_key.refused')
  const reasonsAt = (name: string) =>
    new Set(refused.filter(({ detail }) => detail?.['gateway'] === name).map(({ reason }) => reason))
  t.same(reasonsAt('blind'), new Set(['address_not_forwarded']))
  t.same(
    reasonsAt('orders'),
    new Set(['key_from_another_network', 'address_missing', 'address_unreadable', 'address_of_proxy']),
  )
  t.ok(refused.every(({ clientId, ip, reason }) => clientId === service.clientId && (!ip || reason?.startsWith('key'))))

  const bound = await server.createService('read', { allowed_networks: [`${caller}/32`] })
  const ask = (forwarded: string) =>
    orders.ask({ authorization: bound.basic, 'x-forwarded-for': forwarded }, { at: behindProxy, remoteAddress: proxy })
  t.equal((await ask(`${caller}, ${gateway}`)).statusCode, 200)
  t.equal((await ask(gateway)).statusCode, 401)
  t.equal((await ask(`${gateway}, ${gateway}`)).statusCode, 401)
  const failed = await server.audit('client.authentication_failed')
  const reasons = failed.filter(({ clientId }) => clientId === bound.clientId).map(({ reason }) => reason)
  t.same(reasons.sort(), ['address_missing', 'client_network'])
})

t.test('attack 102: callers behind a proxy in front of the server do not pay for each other', async (t) => {
  const guess = (from: string) =>
    orders.ask(
      { authorization: service.basic.slice(0, -8), 'x-forwarded-for': `${from}, ${gateway}` },
      { at: behindProxy, remoteAddress: proxy },
    )
  for (let index = 0; index < 12; index++) await guess('203.0.113.99')
  t.equal((await guess('203.0.113.99')).statusCode, 429)
  t.equal((await guess('192.0.2.99')).statusCode, 401)
})

t.test('networks of the gateway itself go by its own address', async (t) => {
  // Whose password nobody has guessed at.
  const other = await server.createService('read')
  const near = await createTestGateway(server, 'near', { ...settings, forwardsAddress: true })
  const registration = { grantTypes: ['authorization_code', 'client_credentials'], by, addresses: () => undefined }
  await updateClient(ctx, near.clientId, { allowed_networks: [`${gateway}/32`] }, registration)
  await behindProxy.refresh()
  const ask = async (forwarded: string) =>
    (
      await near.ask(
        { authorization: other.basic, 'x-forwarded-for': forwarded },
        { at: behindProxy, remoteAddress: proxy },
      )
    ).statusCode
  t.equal(await ask(`${caller}, ${gateway}`), 200)
  t.equal(await ask(`${gateway}, ${caller}`), 400)
})
