import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createOutbound } from '../../src/platform/outbound/index.js'
import { authorizationUrl, authorize, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { createTestDocuments, documentOf } from '../support/client-documents.js'
import { createTestServer, sql, type TestServer } from '../support/server.js'

const on = { CLIENT_ID_METADATA_DOCUMENTS: 'on' }
const env = { ...on, REGISTRATION_QUOTA: '1000' }
const asked = { scope: 'openid' }
const documents = createTestDocuments()
const server = await createTestServer(t, { env, outbound: documents.outbound })

const open = (clientId: string, of: TestServer = server, ip?: string) =>
  new TestBrowser(of, ip === undefined ? {} : { ip }).open(authorizationUrl({ clientId }, asked))

const count = async (of: TestServer = server) => (await sql(of, 'SELECT count(*)::int AS count FROM client'))[0]?.count

t.test('attack 95: a client_id does not make us ask a private network, by whatever name', async (t) => {
  const names: Readonly<Record<string, readonly string[]>> = {
    'inside.example': ['10.0.0.7'],
    'half.example': ['93.184.215.14', '169.254.169.254'],
    'mapped.example': ['::ffff:127.0.0.1'],
  }
  let connected = 0
  const listener = createServer((_request, response) => {
    connected++
    response.end('{}')
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => listener.close())
  const { port } = listener.address() as AddressInfo
  const outbound = createOutbound({ allow: [], resolve: async (host) => names[host] ?? ['127.0.0.1'] })
  const real = await createTestServer(t, { beside: server, env, outbound })
  for (const host of [
    '127.0.0.1',
    'localhost',
    '[::1]',
    '[::ffff:7f00:1]',
    '169.254.169.254',
    'metadata.internal',
    'printer.local',
    'inside.example',
    'half.example',
    'mapped.example',
    'rebound.example',
  ]) {
    const page = await open(`https://${host}:${port}/client.json`, real)
    t.equal(page.status, 400, host)
    t.match(page.text, 'client_document_unavailable', host)
    t.notMatch(page.text, 'outbound', 'nor is it told what there is')
  }
  for (const host of ['2130706433', '0x7f.1', '127.1', '0177.0.0.1', '[::ffff:127.0.0.1]', 'LOCALHOST']) {
    t.equal((await open(`https://${host}/client.json`, real)).status, 400, host)
  }
  t.equal((await open(`http://127.0.0.1:${port}/client.json`, real)).status, 400, 'a client_id is https')
  t.equal(connected, 0)
  const refused = await real.audit('client.document_refused')
  t.ok(
    refused.some(({ reason }) => reason === 'outbound_not_public'),
    'the audit has it',
  )
})

t.test('attack 95: nor do the addresses in a document', async (t) => {
  const resolve = async (host: string) => (host === 'inside.example' ? ['10.0.0.7'] : ['93.184.215.14'])
  const { checks, problemOf } = createOutbound({ allow: [], resolve })
  const outbound = { ...documents.outbound, checks, problemOf }
  const looking = await createTestServer(t, { beside: server, env, outbound })
  let number = 0
  for (const name of [
    'jwks_uri',
    'logo_uri',
    'backchannel_logout_uri',
    'sector_identifier_uri',
    'initiate_login_uri',
  ]) {
    for (const address of ['https://127.0.0.1/x', 'https://169.254.169.254/x', 'http://agent.example/x']) {
      const url = `https://agent.example/inner/${++number}`
      documents.set(url, documentOf(url, { [name]: address }))
      t.equal((await open(url, looking)).status, 400, `${name} ${address}`)
      server.clock.advance(2)
    }
  }
  for (const name of ['jwks_uri', 'logo_uri', 'backchannel_logout_uri']) {
    const url = `https://agent.example/resolved/${name}`
    documents.set(url, documentOf(url, { [name]: 'https://inside.example/x' }))
    t.match((await open(url, looking)).text, 'client_document_unavailable', name)
  }
})

t.test('attack 96: a document at other addresses than its client_id is of nobody', async (t) => {
  const before = [await count(), documents.asked.length]
  const url = 'https://agent.example/client.json'
  for (const clientId of [
    'https://agent.example/a/../client.json',
    'https://agent.example/%2e%2e/client.json',
    'https://agent.example/./client.json',
    'https://ada:pass@agent.example/client.json',
    'https://agent.example@evil.example/client.json',
    'https://agent.example/client.json#x',
    'https://agent.example:0/client.json',
    'https://agent.example:00443/client.json',
    'https://agent.example./client.json?',
    'https:agent.example/client.json',
    'https:///agent.example/client.json',
    'https://agent.example/cli\nent.json',
    ' https://agent.example/client.json',
  ]) {
    documents.set(clientId, documentOf(clientId))
    const page = await open(clientId)
    t.equal(page.status, 400, clientId)
    t.equal(page.left, undefined)
  }
  t.equal(documents.asked.length, before[1], 'nobody was asked')
  t.notMatch(server.logs.join(''), 'ada:pass', 'and a password is not written down')
  for (const client_id of [
    `${url}/`,
    `${url}?`,
    'https://AGENT.example/client.json',
    'https://other.example/x',
    null,
    7,
  ]) {
    documents.set(url, documentOf(url, { client_id }))
    t.match((await open(url)).text, 'client_document_client_id_differs', String(client_id))
    server.clock.advance(2)
  }
  t.equal(await count(), before[0])
})

t.test('attack 96: a page, a redirect and a failure are no document, and none of them is kept', async (t) => {
  const url = 'https://agent.example/kept.json'
  const good = documentOf(url)
  for (const answer of [
    { headers: { 'content-type': 'text/html', 'cache-control': 'max-age=86400' } },
    { headers: { 'content-type': 'text/plain' } },
    { status: 404, headers: { 'cache-control': 'max-age=86400' } },
    { status: 503, headers: {} },
    { status: 206, headers: {} },
  ]) {
    documents.set(url, good, answer)
    const before = documents.asked.length
    t.equal((await open(url)).status, 400)
    t.equal((await open(url)).status, 400)
    t.equal(documents.asked.length, before + 2, 'asked anew')
    t.equal(await server.ctx.clients.find(url), undefined)
    server.clock.advance(4)
  }
  documents.set(url, good)
  t.equal((await open(url)).step, 'login')
})

t.test('attack 96: a changed document has nothing of what was allowed to the one before', async (t) => {
  const url = 'https://agent.example/changing.json'
  const headers = { 'cache-control': 'no-cache' }
  const user = await server.createUser()
  for (const [index, more] of [
    {},
    { client_name: 'Bank' },
    { redirect_uris: ['https://app.example/cb', 'https://evil.example/cb'] },
    { logo_uri: 'https://agent.example/logo.png' },
    { tos_uri: 'https://agent.example/tos' },
    { unknown: 'to this server' },
  ].entries()) {
    documents.set(url, documentOf(url, more), { headers })
    const browser = await signedIn(server, user)
    t.equal((await browser.open(authorizationUrl({ clientId: url }, asked))).step, 'consent', `change ${index}`)
    await authorize(server, { clientId: url }, user, asked, browser)
    t.ok((await browser.open(authorizationUrl({ clientId: url }, asked))).answer['code'])
    const silent = authorizationUrl({ clientId: url }, { ...asked, prompt: 'none' })
    t.ok((await browser.open(silent)).answer['code'])
    server.clock.advance(60)
  }
})

t.test('attack 96: a public document gets no grant of a confidential client', async (t) => {
  const url = 'https://agent.example/public.json'
  const all = { CLIENT_ID_METADATA_DOCUMENTS: 'on', REGISTRATION_GRANT_TYPES: 'authorization_code client_credentials' }
  const generous = await createTestServer(t, { beside: server, env: { ...env, ...all }, outbound: documents.outbound })
  documents.set(url, documentOf(url, { grant_types: ['authorization_code', 'client_credentials'] }))
  t.equal((await open(url, generous)).step, 'login')
  const reply = await generous.post('/token', { grant_type: 'client_credentials', client_id: url })
  t.match(reply.json(), { error: 'unauthorized_client' })
})

t.test('attack 93: a flood of client_ids keeps the quota of its network, over all processes', async (t) => {
  const bound = { ...on, REGISTRATION_QUOTA: '5' }
  const one = await createTestServer(t, { env: bound, outbound: documents.outbound })
  const two = await createTestServer(t, { beside: one, env: bound, outbound: documents.outbound })
  const urls = Array.from({ length: 60 }, (_, index) => `https://flood-${index}.example/client.json`)
  for (const url of urls) documents.set(url, documentOf(url))
  const before = documents.asked.length
  const pages = await Promise.all(urls.map((url, index) => open(url, index % 2 ? one : two, `192.0.2.${index}`)))
  t.equal(pages.filter(({ status }) => status === 429).length, 55)
  t.equal(pages.filter(({ step }) => step === 'login').length, 5)
  t.equal(documents.asked.length, before + 5)
  t.equal(await count(one), 5)
  const known = urls.find((_, index) => pages[index]?.step === 'login') ?? ''
  t.equal((await open(known, one)).step, 'login', 'one that is there goes on')
  t.equal((await open(urls[59] ?? '', one, '198.51.100.1')).step, 'login', 'another network has its own')
})

t.test('attack 93: what one network has used up is no answer to another that asks for the same at once', async (t) => {
  const one = await createTestServer(t, { env: { ...on, REGISTRATION_QUOTA: '1' }, outbound: documents.outbound })
  const [before, url] = ['https://before.example/client.json', 'https://shared.example/client.json']
  for (const each of [before, url]) documents.set(each, documentOf(each))
  t.equal((await open(before, one, '192.0.2.1')).step, 'login')
  const pages = await Promise.all(
    ['192.0.2.1', '198.51.100.1', '192.0.2.2', '203.0.113.1'].map((ip) => open(url, one, ip)),
  )
  t.equal(pages[0]?.status, 429)
  t.equal(pages[1]?.step, 'login')
  t.equal(pages[3]?.step, 'login')
  t.equal(documents.asked.filter((each) => each === url).length, 1)
})

t.test('attack 93: many networks do not have one host asked as often as they like', async (t) => {
  const before = documents.asked.length
  const pages = []
  for (let index = 0; index < 70; index++) {
    pages.push(await open(`https://victim.example/${index}`, server, `198.51.${index}.1`))
  }
  t.equal(documents.asked.length, before + 60)
  t.equal(pages.filter(({ status }) => status === 429).length, 10)
  t.ok(pages.at(-1)?.reply.headers['retry-after'])
  t.equal(pages.at(-1)?.reply.headers['ratelimit-policy'], '"client-documents";q=60;w=60')

  const url = 'https://busy.example/client.json'
  documents.set(url, documentOf(url), { headers: { 'cache-control': 'no-store' } })
  t.equal((await open(url)).step, 'login')
  for (let index = 0; index < 60; index++) await open(`https://busy.example/${index}`, server, `203.0.${index}.1`)
  server.clock.advance(60)
  for (let index = 0; index < 60; index++) await open(`https://busy.example/x${index}`, server, `203.0.${index}.1`)
  t.equal((await open(url)).step, 'login', 'who is there does not share its bound with strangers')
})

t.test('attack 93: clients that nobody got a token with do not grow past their bound', async (t) => {
  const full = await createTestServer(t, { env, outbound: documents.outbound })
  const url = 'https://first.example/client.json'
  documents.set(url, documentOf(url))
  t.equal((await open(url, full)).step, 'login')
  await sql(
    full,
    `INSERT INTO client SELECT (jsonb_populate_record(c, jsonb_build_object('client_id', 'https://full.example/' || n))).*
       FROM client c, generate_series(1, 9999) n WHERE c.client_id = $1`,
    [url],
  )
  const other = 'https://other.example/client.json'
  documents.set(other, documentOf(other))
  const { status, reply } = await open(other, full)
  t.equal(status, 429)
  t.equal(reply.headers['ratelimit-policy'], undefined, 'it is the quota of nobody')
  t.equal((await open(url, full)).step, 'login')
  await sql(full, `DELETE FROM client WHERE client_id = 'https://full.example/1'`)
  t.equal((await open(other, full)).step, 'login')
})

t.test('attack 98: a document cannot hide what it is called', async (t) => {
  for (const [index, client_name] of ['Goo\u200bgle', '\u202eelgooG', '\u2066x', 'a\u0000b'].entries()) {
    const url = `https://agent.example/name/${index}`
    documents.set(url, documentOf(url, { client_name }))
    t.match((await open(url)).text, 'client_document_metadata_invalid')
  }
  const url = 'https://xn--pple-43d.example/client.json'
  documents.set(url, documentOf(url, { client_name: 'Apple' }))
  t.match((await open(url)).text, 'to continue to xn--pple-43d.example')
})
