import t from 'tap'
import { cachedDocument, publicScope, sendCached } from '../../../src/http/index.js'
import { bareServer } from '../../support/http.js'

function server(t: Parameters<typeof bareServer>[0]) {
  const { app } = bareServer(t)
  const document = cachedDocument({ keys: [] }, { contentType: 'application/jwk-set+json', maxAge: 300 })
  publicScope(app, (scope) => {
    scope.get('/jwks', (request, reply) => sendCached(request, reply, document))
    scope.get('/broken', async () => {
      throw new Error('hunter2')
    })
  })
  return { app, document }
}

t.test('a document is sent as it was serialised, and may be kept', async (t) => {
  const { app, document } = server(t)
  const reply = await app.inject('/jwks')
  t.equal(reply.statusCode, 200)
  t.same(reply.json(), { keys: [] })
  t.match(reply.headers, {
    'content-type': /^application\/jwk-set\+json/,
    'cache-control': 'public, max-age=300',
    etag: document.etag,
    'content-length': '11',
  })
  t.match(document.etag, /^"[\w-]{22}"$/)
  t.notOk('pragma' in reply.headers)
})

t.test('RFC 9110 §13.1.2: whoever has it gets 304', async (t) => {
  const { app, document } = server(t)
  const ask = (tags: string) => app.inject({ url: '/jwks', headers: { 'if-none-match': tags } })
  for (const tags of [document.etag, `W/${document.etag}`, `"x", ${document.etag}`, '*']) {
    const reply = await ask(tags)
    t.equal(reply.statusCode, 304, tags)
    t.equal(reply.body, '')
    t.equal(reply.headers.etag, document.etag)
  }
  for (const tags of ['"x"', '', document.etag.slice(1)]) t.equal((await ask(tags)).statusCode, 200, tags)
})

t.test('equal content has an equal tag, other content another', async (t) => {
  const options = { contentType: 'application/json', maxAge: 1 }
  t.equal(cachedDocument({ a: 1 }, options).etag, cachedDocument({ a: 1 }, options).etag)
  t.not(cachedDocument({ a: 1 }, options).etag, cachedDocument({ a: 2 }, options).etag)
})

t.test('HEAD has the length, other methods are 405', async (t) => {
  const { app } = server(t)
  const head = await app.inject({ method: 'HEAD', url: '/jwks' })
  t.equal(head.headers['content-length'], '11')
  t.equal(head.body, '')
  const post = await app.inject({ method: 'POST', url: '/jwks' })
  t.equal(post.statusCode, 405)
  t.equal(post.headers.allow, 'GET, HEAD')
})

t.test('an error is not kept and says nothing', async (t) => {
  const { app } = server(t)
  const reply = await app.inject('/broken')
  t.equal(reply.statusCode, 500)
  t.equal(reply.headers['cache-control'], 'no-store')
  t.notMatch(reply.body, 'hunter2')
})
