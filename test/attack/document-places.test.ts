import t from 'tap'
import { createOutbound, type OutboundAnswer } from '../../src/platform/outbound/index.js'
import { authorizationUrl } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { documentOf } from '../support/client-documents.js'
import { ask as askRegistration, metadata, register, registered } from '../support/registration.js'
import { createTestServer } from '../support/server.js'

// Client ID metadata documents, and clients that register themselves, name addresses that are slow, or whose name servers are. The
// places in which others are asked are few: none of that may keep out the document of anybody else.

const env = { CLIENT_ID_METADATA_DOCUMENTS: 'on', REGISTRATION: 'open', REGISTRATION_QUOTA: '1000' }

/** Everybody out there: hosts below `slow.example` are held, names below `lost.example` are not resolved. The bounds are real. */
function createWorld() {
  const held: (() => void)[] = []
  const names: ((addresses: readonly string[]) => void)[] = []
  const asked: string[] = []
  const documents = new Map<string, object>()
  const headers = { 'content-type': 'application/json', 'cache-control': 'max-age=0' }
  const answerOf = (url: string): OutboundAnswer => {
    const document = documents.get(url)
    return { status: document ? 200 : 404, headers, body: Buffer.from(JSON.stringify(document ?? {})) }
  }
  const outbound = createOutbound({
    allow: [],
    timeout: 60_000,
    resolve: (host) =>
      host.endsWith('.lost.example')
        ? new Promise((resolve) => names.push(resolve))
        : Promise.resolve(['93.184.215.14']),
    send: (url) =>
      new Promise((resolve) => {
        asked.push(url.href)
        const answer = () => resolve(answerOf(url.href))
        if (url.host.endsWith('.slow.example')) held.push(answer)
        else answer()
      }),
  })
  return { held, names, asked, documents, outbound }
}

const world = createWorld()
const { held, names, asked, documents } = world
const server = await createTestServer(t, { env, outbound: world.outbound })

const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await new Promise(setImmediate)
}

const open = (clientId: string, ip?: string) =>
  new TestBrowser(server, ip === undefined ? {} : { ip }).open(authorizationUrl({ clientId }, { scope: 'openid' }))

function publish(clientId: string, more: object = {}): string {
  documents.set(clientId, documentOf(clientId, { ...more }))
  return clientId
}

const lost = (of: string) => Array.from({ length: 20 }, (_, index) => `https://${of}${index}.lost.example/object`)

/** Opens it while the host is asked for that long, and then answers. */
async function openSlowly(clientId: string, seconds: number, ip?: string) {
  const page = open(clientId, ip)
  await until(() => held.length === 1)
  server.clock.advance(seconds)
  held.pop()?.()
  return page
}

/** Names that are waited for get no address, one after the other, until all is over. */
async function giveUp(waiting: readonly Promise<unknown>[]): Promise<void> {
  let over = 0
  for (const each of waiting) void each.finally(() => over++)
  while (over < waiting.length) {
    for (const answer of names.splice(0)) answer([])
    await new Promise(setImmediate)
  }
}

t.test('attack 95: two documents that name twenty hosts each leave room for others', async (t) => {
  const waiting = ['a', 'b'].map((name) =>
    open(publish(`https://${name}.example/client.json`, { request_uris: lost(name) })),
  )
  await until(() => names.length >= 2)
  t.equal((await open(publish('https://good.example/client.json'))).step, 'login')
  t.equal(names.length, 2, 'one name at a time for each')
  await giveUp(waiting)
  for (const page of await Promise.all(waiting))
    t.equal(page.step, 'login', 'names that nobody has are looked at again')
})

t.test('attack 95: registrations that name twenty hosts each leave room for others', async (t) => {
  const waiting = Array.from({ length: 6 }, (_, index) =>
    register(server, { ...metadata, request_uris: lost(`c${index}-`) }),
  )
  await until(() => names.length >= 6)
  t.equal((await register(server, { ...metadata, logo_uri: 'https://good.example/logo.png' })).statusCode, 201)
  t.equal(names.length, 6)
  await giveUp(waiting)
  for (const reply of await Promise.all(waiting)) t.equal(reply.statusCode, 201)
})

t.test('attack 95: an address that could not be looked at is not taken for one that was', async (t) => {
  const waiting = Array.from({ length: 24 }, (_, index) =>
    register(server, { ...metadata, logo_uri: `https://d${index}.lost.example/logo.png` }),
  )
  await until(() => names.length === 24)
  const reply = await register(server, { ...metadata, logo_uri: 'https://good.example/logo.png' })
  t.equal(reply.statusCode, 503)
  t.match(reply.json(), { error: 'temporarily_unavailable' })
  t.equal(reply.headers['retry-after'], '5')
  await giveUp(waiting)
})

t.test('CIMD §4.4: a client whose address failed slowly has a pause, and nobody else has', async (t) => {
  const url = 'https://e.slow.example/client.json'
  t.equal((await openSlowly(url, 3)).status, 400)
  const before = asked.length
  const page = await open(url)
  t.equal(page.status, 429)
  t.equal(page.reply.headers['retry-after'], '6')
  t.equal(asked.length, before, 'it is not asked again at once')
  t.equal((await open(publish('https://good.example/other.json'))).step, 'login')
  server.clock.advance(5)
  publish(url)
  t.equal((await openSlowly(url, 0)).step, 'login', 'in a few seconds it is')
})

t.test('attack 93: a network that has slow documents read is bounded, and no other is', async (t) => {
  const urls = Array.from({ length: 7 }, (_, index) => publish(`https://f${index}.slow.example/client.json`))
  const ip = '198.51.100.7'
  for (const url of urls) t.equal((await openSlowly(url, 0, ip)).step, 'login')
  server.clock.advance(60)
  const pages = urls.map((url) => open(url, ip))
  await until(() => held.length === urls.length)
  server.clock.advance(5)
  for (const answer of held.splice(0)) answer()
  for (const page of await Promise.all(pages)) t.equal(page.step, 'login')
  t.equal((await open(publish('https://good.example/third.json'), ip)).status, 429)
  t.equal((await open('https://good.example/third.json', '203.0.113.7')).step, 'login', 'another network')
  server.clock.advance(6)
  t.equal((await open(publish('https://good.example/fourth.json'), ip)).step, 'login', 'and it comes back by time')
})

t.test('attack 93: a host with many clients is read from as often as they need, where it answers', async (t) => {
  const urls = Array.from({ length: 150 }, (_, index) => publish(`https://many.example/${index}`))
  for (const [index, url] of urls.entries()) {
    if (index % 50 === 0) server.clock.advance(60)
    t.equal((await open(url)).step, 'login')
  }
  server.clock.advance(60)
  const before = asked.length
  for (const url of urls) t.equal((await open(url)).step, 'login')
  t.equal(asked.length, before + urls.length, 'all within the same second')
})

t.test('attack 93: whoever registered many clients does not change them as often as they are many', async (t) => {
  const few = await createTestServer(t, {
    beside: server,
    env: { ...env, REGISTRATION_QUOTA: '2' },
    outbound: world.outbound,
  })
  const statuses = []
  for (let index = 0; index < 11; index++) {
    const client = await registered(server)
    for (let turn = 0; turn < 2; turn++) {
      const body = { ...metadata, client_id: client.clientId }
      statuses.push((await askRegistration(few, 'PUT', client.path, body, client)).statusCode)
    }
  }
  t.equal(statuses.filter((status) => status === 200).length, 20)
  t.equal(statuses.filter((status) => status === 429).length, 2)
})
