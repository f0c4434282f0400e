import { createHash, createHmac } from 'node:crypto'
import t from 'tap'
import { endApiKeys, rotateApiKey } from '../../src/api-keys/index.js'
import type { ApiKeyOwner } from '../../src/store/index.js'
import { exchange, exchanged, isActive, makeKey } from '../support/exchange.js'
import { dump, spellings } from '../support/leaks.js'
import { createTestServer, sql } from '../support/server.js'

const by = { actor: 'operator' }
/** Where the secret begins: what stands before is public. */
const secretOf = (text: string): string => text.slice(text.lastIndexOf('_') + 17)

t.test('attack 118: no log line, event, row or answer holds anything of a key', async (t) => {
  const server = await createTestServer(t)
  const api = await server.createResource('https://api.example', 'read write')
  const opaque = await server.createResource('https://opaque.example', 'view', { tokenFormat: 'opaque' })
  const owner: ApiKeyOwner = { kind: 'user', id: (await server.createUser()).id }
  const keys = [await makeKey(server, { owner, scope: ['read'] }), await makeKey(server, { owner, scope: ['view'] })]
  const [{ key, text }, viewer] = keys as [(typeof keys)[0], (typeof keys)[0]]
  const replies: string[] = []
  const note = (reply: { readonly headers: unknown; readonly body: string }): void =>
    void replies.push(JSON.stringify(reply.headers), reply.body)

  await exchanged(server, text)
  await isActive(server, opaque, await exchanged(server, viewer.text))
  note(await server.post('/introspect', { token: text }, { authorization: api.basic }))
  // Wherever else somebody may put one by mistake.
  const mistyped = `${text.slice(0, -1)}${text.endsWith('x') ? 'y' : 'x'}`
  note(await exchange(server, mistyped))
  note(await exchange(server, text, { scope: text, resource: text }))
  note(await exchange(server, text, { scope: 'write', audience: text }))
  note(await exchange(server, text, { subject_token_type: text }))
  note(await exchange(server, text, { client_id: text }))
  note(await exchange(server, text, {}, { authorization: `Bearer ${text}` }))
  note(await server.post(`/token?subject_token=${text}`, { grant_type: text }))
  note(await server.post('/introspect', { token: text, token_type_hint: text }, { authorization: api.basic }))
  note(await server.post('/revoke', { token: text }, { authorization: api.basic }))
  note(await server.get(`/introspect/${text}?api_key=${text}`))
  note(await server.get('/revocations', { authorization: `Bearer ${text}`, 'x-api-key': text }))

  const { text: successor = '' } = await rotateApiKey(server.ctx, key.id, { by })
  const { successors } = await endApiKeys(
    server.ctx,
    { kind: 'all' },
    { cause: { ...by, reason: 'leak' }, replace: true },
  )
  note(await exchange(server, successor))
  // A database that fails, and says in its error what the row was.
  await sql(server, 'ALTER TABLE api_key RENAME COLUMN hash TO gone')
  const last = successors[0]?.text ?? ''
  const broken = await exchange(server, last)
  t.equal(broken.statusCode, 500)
  note(broken)
  await sql(server, 'ALTER TABLE api_key RENAME COLUMN gone TO hash')

  await server.ctx.apiKeyUse.flush()
  const events = await server.audit()
  const types = new Set(events.map(({ type }) => type))
  for (const type of ['api_key.created', 'api_key.refused', 'api_keys.replaced', 'token.issued'])
    t.ok(types.has(type), type)
  const written = {
    'the log': server.logs.join('\n'),
    'the audit': JSON.stringify(events),
    'the database': await dump(server),
    'an answer': replies.join('\n'),
  }
  t.ok(written['the database'].includes(key.id), 'the id is public')
  const texts = [text, viewer.text, mistyped, successor, ...successors.map((each) => each.text ?? '')]
  t.equal(texts.length, 6)
  for (const each of texts) {
    t.equal(secretOf(each).length, 49)
    // Also a part of it would make the rest easier to guess.
    const parts = [each, secretOf(each), secretOf(each).slice(0, 24), secretOf(each).slice(24, 43)]
    for (const [place, content] of Object.entries(written)) {
      t.notOk(
        parts.flatMap(spellings).some((spelling) => content.includes(spelling)),
        `${place} has a key`,
      )
    }
  }
})

t.test('attack 118: the database and no master key are not enough to check a key', async (t) => {
  const server = await createTestServer(t)
  await server.createResource('https://api.example', 'read')
  const owner: ApiKeyOwner = { kind: 'user', id: (await server.createUser()).id }
  const { text } = await makeKey(server, { owner, scope: ['read'] })
  const stored = await dump(server)
  const binary = [...stored.matchAll(/\\\\x([0-9a-f]+)/g)].map(([, hex = '']) => Buffer.from(hex, 'hex'))
  const hashes = new Set(binary.map((bytes) => bytes.toString('hex')))
  t.ok(binary.length >= 3)
  for (const value of [text, secretOf(text), secretOf(text).slice(0, 43)]) {
    for (const algorithm of ['sha1', 'sha256', 'sha512', 'md5']) {
      t.notOk(hashes.has(createHash(algorithm).update(value).digest('hex')), algorithm)
    }
    for (const bytes of binary) {
      for (const key of [bytes, bytes.subarray(0, 32), bytes.subarray(-32), bytes.subarray(12, 44)]) {
        t.notOk(hashes.has(createHmac('sha256', key).update(value).digest('hex')))
      }
    }
  }
})
