import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { drawApiKey, drawApiKeyId } from '../../src/api-keys/format.js'
import { endApiKey, findApiKey, rotateApiKey } from '../../src/api-keys/index.js'
import { updateClient } from '../../src/clients/index.js'
import { createTier } from '../../src/limits/index.js'
import { listNotices, noticeText } from '../../src/notices/index.js'
import { loadConfig } from '../../src/platform/config/index.js'
import { most } from '../../src/protocol/leaks/schemas.js'
import { isActive } from '../support/exchange.js'
import { issueCode } from '../support/grants.js'
import { everything, listenOnLoopback } from '../support/http.js'
import { found, keysFile, makeSigner, openLeaks, post, type ReportSigner, signed } from '../support/leak-reports.js'
import { dump, spellings } from '../support/leaks.js'
import { noticesOf } from '../support/notices.js'
import { SeededRandom } from '../support/random.js'
import { createTestServer, registration, send, sql, type TestServer } from '../support/server.js'
import { holdTimers } from '../support/timers.js'
import { redeem } from '../support/tokens.js'

const by = { actor: 'operator' }

t.test('attack 113: a key that was found in public ends at once, everywhere, and its owner hears of it', async (t) => {
  const { server, ctx, api, owner, key, report, signer } = await openLeaks(t)
  const beside = await createTestServer(t, { beside: server })
  const [leaked, other] = [await key({ name: 'Import' }), await key()]
  t.equal(await isActive(beside, api, leaked.text), true)
  const url = `https://user:pw@github.com/o/r/${leaked.text}?key=${leaked.text}#${leaked.text}`
  const reply = await report([found(leaked.text, url)])
  t.equal(reply.statusCode, 200)
  t.same(reply.json(), [
    {
      token_hash: createHash('sha256').update(leaked.text).digest('hex'),
      token_type: 'ostiary_api_key',
      label: 'true_positive',
    },
  ])
  for (const at of [server, beside]) t.equal(await isActive(at, api, leaked.text), false, 'the next use is refused')
  t.equal(await isActive(server, api, other.text), true)
  t.match(await findApiKey(ctx, leaked.key.id), { endReason: 'leaked' })
  const listed = await sql(server, `SELECT kind, target, terminal, reason FROM revocation WHERE kind = 'api_key'`)
  t.same(
    listed,
    [{ kind: 'api_key', target: leaked.key.id, terminal: true, reason: 'leaked' }],
    'the feed tells every API',
  )
  t.same(await noticesOf(server), [
    {
      ...{ kind: 'ended', owner_kind: 'user', owner: owner.id, subject_kind: 'api_key', subject: leaked.key.id },
      detail: { name: 'Import', found_at: 'https://github.com/...' },
    },
  ])
  const about = { actor: `reporter:${signer.identifier}`, subject: owner.id, detail: { key: leaked.key.id } }
  t.match(await server.audit('api_key.leaked'), [{ ...about, reason: 'ended' }])
  t.match(await server.audit('api_key.revoked'), [{ ...about, reason: 'leaked' }])
  t.match(await server.audit('leak.reported'), [{ reason: 'true_positive', count: 1 }])

  t.match((await report([found(leaked.text), found(leaked.text)])).json(), [
    { label: 'true_positive' },
    { label: 'true_positive' },
  ])
  t.equal((await noticesOf(server)).length, 1, 'a report that comes again changes nothing')
  t.equal((await server.audit('api_key.leaked')).length, 1)

  const places = {
    'the log': server.logs.join('\n'),
    'the audit': JSON.stringify(await server.audit()),
    'the database': await dump(server),
    'the answer': reply.body,
  }
  for (const [place, content] of Object.entries(places)) {
    const parts = [leaked.text, leaked.text.slice(-49, -6)].flatMap(spellings)
    t.notOk(
      parts.some((part) => content.includes(part)),
      `${place} has no key`,
    )
  }
})

t.test('attack 118: no key is kept of the place where it was found, however it is written there', async (t) => {
  const { server, key, tell } = await openLeaks(t, { LEAKED_KEYS: 'warn' })
  const encoded = (text: string) => text.replace(/[A-Z_]/g, (letter) => `%${letter.charCodeAt(0).toString(16)}`)
  const places: readonly ((text: string) => string)[] = [
    (text) => `token_${text}`,
    (text) => `${text}_old.txt`,
    (text) => `a/${text}/b`,
    (text) => encoded(text),
    (text) => encoded(encoded(text)),
    (text) => `x${text.slice(-49)}`,
  ]
  for (const [index, place] of places.entries()) {
    const { text, key: leaked } = await key()
    await tell([found(text, `https://paste${index}.example/${place(text)}`)])
    const [told] = (await noticesOf(server)).filter(({ subject }) => subject === leaked.id)
    t.match(told, { detail: { found_at: `https://paste${index}.example/...` } })
    const kept = await dump(server)
    t.notOk([text, text.slice(-49, -6)].flatMap(spellings).some((part) => kept.includes(part)))
  }
  const { text, key: plain } = await key()
  await tell([found(text, 'https://paste.example/a%20b/c_d')])
  const [told] = (await noticesOf(server)).filter(({ subject }) => subject === plain.id)
  t.match(told, { detail: { found_at: 'https://paste.example/a%20b/c_d' } })
})

t.test('LEAKED_KEYS=warn: the owner is told, once, and the key lives', async (t) => {
  const { server, api, key, tell, scanner } = await openLeaks(t, { LEAKED_KEYS: 'warn' })
  const { text, key: warned } = await key()
  t.match((await tell([found(text)])).json(), [{ label: 'true_positive' }])
  await tell([found(text, 'https://elsewhere.example/x')])
  t.equal(await isActive(server, api, text), true)
  t.match(await noticesOf(server), [{ kind: 'leaked', subject: warned.id }])
  t.equal((await noticesOf(server)).length, 1)
  t.match(await server.audit('api_key.leaked'), [{ actor: `client:${scanner.clientId}`, reason: 'warned' }])
})

t.test('a key in its overlap that is still good: its owner is told to move or to end it', async (t) => {
  const { server, ctx, key, tell } = await openLeaks(t, { LEAKED_KEYS: 'warn' })
  const { text, key: rotated } = await key()
  await rotateApiKey(ctx, rotated.id, { by })
  await tell([found(text)])
  const [notice] = await listNotices(ctx)
  t.match(notice, { kind: 'leaked', subject: { id: rotated.id }, detail: { rotated: true } })
  const { body } = noticeText(notice!, ctx.config.server.issuer)
  t.match(body, /has a successor already: move your programs to that one, or end this one now/)
  t.match(body, `${rotated.id}/end`)
  t.notMatch(body, '/rotate')
  t.match(await noticesOf(server), [{ kind: 'leaked' }])
})

t.test('a publishable key never ends by a report; what is over stays as it is', async (t) => {
  const { server, ctx, owner, key, tell } = await openLeaks(t)
  const origins = ['https://shop.example']
  const publishable = await key({ kind: 'publishable', origins, owner })
  const [ended, rotated] = [await key(), await key()]
  await endApiKey(ctx, ended.key.id, { cause: { ...by, reason: 'test' } })
  await rotateApiKey(ctx, rotated.key.id, { by })
  const labels = (await tell([publishable, ended, rotated].map(({ text }) => found(text)))).json()
  t.match(labels, [{ label: 'true_positive' }, { label: 'true_positive' }, { label: 'true_positive' }])
  t.equal((await findApiKey(ctx, publishable.key.id)).endedAt, undefined)
  t.equal((await findApiKey(ctx, ended.key.id)).endReason, 'test')
  t.equal((await findApiKey(ctx, rotated.key.id)).endReason, 'leaked', 'one in its overlap is as good as any')
  const told = new Map((await noticesOf(server)).map(({ subject, kind }) => [subject, kind]))
  t.same(
    told,
    new Map([
      [publishable.key.id, 'leaked'],
      [rotated.key.id, 'ended'],
    ]),
  )
})

t.test('attack 113: a made-up key is looked up nowhere, and no answer tells an id from a secret', async (t) => {
  const { server, ctx, key, report } = await openLeaks(t)
  const { text, key: real } = await key()
  const flipped = `${text.slice(0, -1)}${text.endsWith('x') ? 'y' : 'x'}`
  const statements: string[] = []
  const { pool } = ctx.db
  const query = pool.query
  pool.query = ((...args: unknown[]) => {
    statements.push(String((args[0] as { name?: string }).name))
    return (query as (...all: unknown[]) => unknown).apply(pool, args)
  }) as typeof query
  const made = [flipped, 'ghp_0123456789', `sk_live_${'a'.repeat(65)}`, text.toUpperCase(), ` ${text}`, '🔑']
  const labels: { label: string }[] = (await report(made.map((token) => found(token)))).json()
  pool.query = query
  t.same(new Set(labels.map(({ label }) => label)), new Set(['false_positive']))
  t.notOk(statements.includes('api_keys.find'), 'no statement')

  // Their checksums are right: a key of another installation, and the right id with another secret.
  const random = new SeededRandom('elsewhere')
  const words = { prefix: 'sk', environment: 'live' }
  const foreign = drawApiKey(random, { ...words, id: drawApiKeyId(random) })
  const guessed = drawApiKey(random, { ...words, id: real.id })
  const answers = (await report([found(foreign), found(guessed)])).json()
  t.same(
    answers.map(({ label }: { label: string }) => label),
    ['false_positive', 'false_positive'],
  )
  t.equal((await findApiKey(ctx, real.id)).endedAt, undefined)
  t.same(await noticesOf(server), [])
})

t.test('only who proves it by the very bytes may report, and nobody is asked for long', async (t) => {
  const { server, ctx, key, signer, write, report, path } = await openLeaks(t)
  const { text, key: real } = await key()
  const body = JSON.stringify([found(text)])
  const good = signed(signer, body)
  const stranger = makeSigner(signer.identifier)
  const other = makeSigner('unknown')
  const refused = async (headers: Readonly<Record<string, string>>, what: string, sent = body) => {
    const reply = await post({ server, headers, body: sent })
    t.equal(reply.statusCode, 401, what)
    t.match(reply.headers['content-type'], /^application\/problem\+json/, what)
    t.match(reply.headers['www-authenticate'], /^Bearer realm=/, what)
  }
  await refused({}, 'nothing')
  await refused(signed(stranger, body), 'forged under the name of a key')
  await refused(signed(other, body), 'a key that nobody knows')
  await refused(good, 'another body', body.replace('octocat', 'octodog'))
  await refused(good, 'the same, spaced otherwise', JSON.stringify(JSON.parse(body), null, 1))
  await refused({ 'github-public-key-identifier': signer.identifier }, 'no signature')
  await refused({ ...good, 'github-public-key-signature': 'AAAA' }, 'no DER')
  await refused({ ...good, 'github-public-key-identifier': '../../etc/passwd' }, 'no name')
  t.equal((await findApiKey(ctx, real.id)).endedAt, undefined)
  const reasons = (await server.audit('leak.refused')).map(({ reason }) => reason)
  t.same(new Set(reasons), new Set(['signature_wrong', 'signature_key_unknown']))

  const next = makeSigner('0123456789abcdef')
  write([next])
  server.clock.advance(10)
  await refused(good, 'a key that was taken out')
  writeFileSync(path, '{"public_keys":[{"key')
  server.clock.advance(10)
  t.equal((await report([], next)).statusCode, 200, 'a file that is half written leaves the keys as they were')
  server.clock.advance(10)
  const wrong = () => post({ server, headers: signed(other, body), body })
  for (let n = 0; n < 10; n++) if ((await wrong()).statusCode === 429) break
  const late = await wrong()
  t.equal(late.statusCode, 429, 'as after any failed authentications')
  t.ok(Number(late.headers['retry-after']) > 0)
  t.equal((await post({ server, headers: signed(stranger, body), body })).statusCode, 429, 'forged')
  t.match((await report([found(text)], next)).json(), [{ label: 'true_positive' }], 'who is right pays for nobody')
  server.clock.advance(601)
  t.equal((await wrong()).statusCode, 401)
})

t.test('an access token reports with the scope, and for the client itself alone', async (t) => {
  const { server, key, tell, tokenOf, scanner } = await openLeaks(t)
  const { text } = await key()
  const body = JSON.stringify([found(text)])
  const at = (token: string) => post({ server, headers: { authorization: `Bearer ${token}` }, body })
  const service = await server.createService('read api_keys')
  t.equal((await at(await tokenOf('api_keys', service))).statusCode, 403)
  t.equal((await at(await tokenOf('read', service))).statusCode, 401, 'for another audience')
  t.equal((await at(text)).statusCode, 401, 'a key is no token')
  const app = await server.createClient({ grant_types: ['authorization_code'], scope: 'leaks', first_party: true })
  const user = await server.createUser('bob@example.com')
  const issued = await issueCode(server, app, user.id, { scope: ['leaks'] })
  const delegated = (await redeem(server, app, issued)).json().access_token
  t.equal((await at(delegated)).statusCode, 403, 'a user does not report by somebody’s application')
  t.equal((await tell([])).statusCode, 200)
  await sql(server, 'UPDATE client SET disabled_at = now() WHERE client_id = $1', [scanner.clientId])
  await server.refresh()
  t.equal((await tell([found(text)])).statusCode, 401)
  t.same(await noticesOf(server), [])
})

t.test('attack 120: what is too large, too many, too deep or no report is refused without a word of it', async (t) => {
  const { server, token, tell, key } = await openLeaks(t)
  const { text } = await key()
  const headers = { authorization: `Bearer ${token}` }
  const raw = (body: string, more = {}) => post({ server, headers: { ...headers, ...more }, body })
  t.equal((await tell(Array.from({ length: 501 }, () => found('x')))).statusCode, 413)
  t.equal((await tell(Array.from({ length: 500 }, () => found('x')))).statusCode, 200)
  t.equal((await raw(JSON.stringify([found('x'.repeat(1024 * 1024))]))).statusCode, 413)
  t.equal((await tell([found('x'.repeat(4097))])).statusCode, 400)
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  for (const body of ['', '{}', 'null', '"x"', '[1]', '[{}]', '[{"token":1}]', `[{"token":"${text}"`, deep, '\xff']) {
    const reply = await raw(body)
    t.equal(reply.statusCode, 400, body.slice(0, 20))
    t.notOk(reply.body.includes(text.slice(-40)))
  }
  t.equal((await raw(`[{"token":"x","__proto__":{"token":"y"}}]`)).statusCode, 200)
  t.equal((await raw('[]', { 'content-type': 'application/x-www-form-urlencoded' })).statusCode, 415)
  t.equal((await server.get('/leaks', headers)).statusCode, 405)
  t.notOk(server.logs.some((line) => line.includes(text.slice(-40))))
})

t.test('attack 135: reports that do not come to an end hold up none that does', async (t) => {
  const { server, signer, tell, report } = await openLeaks(t)
  t.equal((await report([])).statusCode, 200)
  const { open } = await openSlowly(server, signer)
  const slow = []
  for (let count = 0; count < 12; count++) slow.push(await open())
  t.equal((await report([])).statusCode, 200, 'by its signature')
  t.equal((await tell([])).statusCode, 200, 'by its token')
  t.notOk(
    slow.some(({ isAnswered }) => isAnswered()),
    'and these are not hurried',
  )
  for (const { finish } of slow.slice(0, 6)) t.match(await finish(), /^HTTP\/1\.1 200 /)
  for (const { socket } of slow.slice(6)) socket.destroy()
  t.equal((await report([])).statusCode, 200)
})

t.test('attack 135: of more than are read at once, the oldest of the network that has most goes', async (t) => {
  const { server, signer, report } = await openLeaks(t, { TRUST_PROXY: '127.0.0.1' })
  t.equal((await report([])).statusCode, 200)
  const { open } = await openSlowly(server, signer)
  const honest = [await open('203.0.113.7'), await open('2001:db8:1:1::7')]
  const flood = []
  for (let count = 0; count < 70; count++) {
    flood.push(await open(count % 2 ? `198.51.100.${count}` : `2001:db8:2:${count}::7`))
  }
  for (const { answered } of flood.slice(0, 8)) t.match(await answered, /^HTTP\/1\.1 503 .*retry-after: 2/is)
  t.notOk(
    [...honest, ...flood.slice(8)].some(({ isAnswered }) => isAnswered()),
    'no other one',
  )
  t.equal((await report([])).statusCode, 200, 'nor does it hold up what is whole')
  for (const { finish } of honest) t.match(await finish(), /^HTTP\/1\.1 200 /)
  for (const { socket } of flood) socket.destroy()
})

t.test('attack 135: who signs has some seconds to send it', async (t) => {
  const { server, signer, report, token } = await openLeaks(t)
  t.equal((await report([])).statusCode, 200)
  const { open } = await openSlowly(server, signer)
  const { running, goOff } = holdTimers(t, (milliseconds) => milliseconds === most.unprovedMilliseconds)
  const { answered } = await open()
  const proved = new PassThrough()
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
  const told = send(server.app, { method: 'POST', url: '/leaks', headers, payload: proved })
  await report([])
  t.equal(running().length, 1, 'only while it is coming, and only where nothing is proved')
  goOff()
  const answer = await answered
  t.match(answer, /^HTTP\/1\.1 408 .*connection: close/is)
  t.match(answer, 'urn:ostiary:problem:http-408')
  proved.end('[]')
  t.equal((await told).statusCode, 200)
})

t.test('whoever names a key that signs sends less, and has few reports worked on at once', async (t) => {
  const { server, signer, tell, report, key } = await openLeaks(t)
  const long = [found('x', `https://github.com/${'a'.repeat(8_000)}`)]
  const many = (count: number) => Array.from({ length: count }, () => long[0])
  t.equal((await report(many(31))).statusCode, 200)
  const refused = await report(many(33))
  t.match([refused.statusCode, refused.json().type], [413, 'urn:ostiary:problem:report-too-long'])
  t.equal((await tell(many(33))).statusCode, 200, 'a token proves more')

  // Without a length that says so before.
  const chunked = new PassThrough()
  chunked.write(JSON.stringify(many(33)))
  const headers = { 'content-type': 'application/json', ...signed(signer, '[]') }
  const cut = await send(server.app, { method: 'POST', url: '/leaks', headers, payload: chunked })
  t.match([cut.statusCode, cut.headers['connection']], [413, 'close'], 'before it has come to its end')

  const { text } = await key()
  const goOn = holdStatements(server)
  const replies = Array.from({ length: 9 }, () => report([found(text)]))
  const first = await Promise.race(replies)
  t.match([first.statusCode, first.headers['retry-after']], [503, '2'], 'while the database is slow')
  goOn()
  const statuses = (await Promise.all(replies)).map(({ statusCode }) => statusCode)
  t.same(statuses.sort(), [...Array(8).fill(200), 503])
  t.equal((await report([])).statusCode, 200, 'and then there is room again')
})

/** Opens connections by which a signed report comes in two pieces: one at once, the other one when that is said. */
async function openSlowly(server: TestServer, signer: ReportSigner) {
  const port = await listenOnLoopback(server.app)
  const body = '[      ]'
  const fields = Object.entries({ 'content-type': 'application/json', connection: 'close', ...signed(signer, body) })
  return {
    /** @returns when the server has begun with it */
    async open(from = '203.0.113.1') {
      const begun = once(server.app.server, 'request')
      const socket = connect(port, '127.0.0.1')
      const head = [...fields, ['x-forwarded-for', from], ['content-length', body.length]]
      const lines = head.map(([name, value]) => `${name}: ${value}\r\n`).join('')
      socket.write(`POST /leaks HTTP/1.1\r\nhost: localhost:3000\r\n${lines}\r\n${body.slice(0, 4)}`)
      let count = 0
      socket.on('data', ({ length }) => {
        count += length
      })
      const answered = everything(socket)
      await begun
      const finish = (): Promise<string> => {
        socket.write(body.slice(4))
        return answered
      }
      return { socket, answered, finish, isAnswered: () => count > 0 }
    },
  }
}

/** No statement is sent from here on. @returns lets them go on */
function holdStatements(server: TestServer): () => void {
  const { pool } = server.ctx.db
  const query = pool.query
  let goOn = (): void => undefined
  const promise = new Promise<void>((resolve) => {
    goOn = resolve
  })
  pool.query = (async (...args: Parameters<typeof query>) => {
    await promise
    return query.apply(pool, args)
  }) as unknown as typeof query
  return () => {
    pool.query = query
    goOn()
  }
}

t.test('a client that reports is limited by its tier', async (t) => {
  const { server, ctx, tell, scanner } = await openLeaks(t)
  await createTier(ctx, 'scanner', { limit: 1, window: 60, burst: 1 }, by)
  await updateClient(ctx, scanner.clientId, { rate_tier: 'scanner' }, registration)
  await server.refresh()
  t.equal((await tell([])).statusCode, 200)
  const refused = await tell([])
  t.match([refused.statusCode, refused.headers['retry-after']], [429, /^\d+$/])
})

t.test('two reports at once end a key once', async (t) => {
  const { server, key, report } = await openLeaks(t)
  const beside = await createTestServer(t, {
    beside: server,
    env: { LEAK_REPORTER_KEYS: server.ctx.config.apiKeys.leakReporterKeys! },
  })
  const texts = [(await key()).text, (await key()).text]
  const replies = await Promise.all(
    Array.from({ length: 8 }, (_, n) =>
      report(
        texts.map((text) => found(text)),
        undefined,
        n % 2 ? server : beside,
      ),
    ),
  )
  for (const reply of replies) t.match(reply.json(), [{ label: 'true_positive' }, { label: 'true_positive' }])
  t.equal((await noticesOf(server)).length, 2)
  t.equal((await server.audit('api_key.leaked')).length, 2)
})

t.test('LEAK_REPORTER_KEYS is checked at the start', async (t) => {
  const { path } = await openLeaks(t)
  const load = () => loadConfig({ env: { LEAK_REPORTER_KEYS: path } })
  t.ok(load())
  for (const [content, problem] of [
    ['no', /is not JSON/],
    ['{}', /has no list public_keys/],
    ['{"public_keys":[{"key":"x"}]}', /not a key_identifier and a key/],
    [keysFile([makeSigner('a', 'P-384')]), /none of P-256/],
  ] as const) {
    writeFileSync(path, content)
    t.throws(load, { message: problem })
  }
})
