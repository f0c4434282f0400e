import pg from 'pg'
import t from 'tap'
import { problemScope } from '../../../src/http/index.js'
import { TooManyRequestsError } from '../../../src/oauth/index.js'
import { ConflictError, InvalidValueError, NotFoundError } from '../../../src/platform/administration-errors.js'
import { bareServer } from '../../support/http.js'

/** POST /things throws what it is given. */
async function answerTo(t: Parameters<typeof bareServer>[0], error: unknown) {
  const { app, logged } = bareServer(t)
  problemScope(app, (scope) => {
    scope.post('/things', async () => {
      throw error
    })
  })
  const reply = await app.inject({ method: 'POST', url: '/things' })
  return { app, reply, logged }
}

t.test('RFC 9457 §3: an error of administration is a problem document, and is not stored', async (t) => {
  for (const [error, status, expected] of [
    [
      new NotFoundError('api-key', 'There is none.'),
      404,
      { type: 'urn:ostiary:problem:not-found', title: 'Not Found' },
    ],
    [new ConflictError('It is over.'), 409, { type: 'urn:ostiary:problem:conflict', title: 'Conflict' }],
    [new InvalidValueError('So not.'), 400, { type: 'urn:ostiary:problem:invalid-value', title: 'Bad Request' }],
  ] as const) {
    const { reply } = await answerTo(t, error)
    t.equal(reply.statusCode, status)
    const { instance, ...body } = reply.json()
    t.same(body, { ...expected, status, detail: error.message })
    t.match(instance, /^urn:uuid:[0-9a-f-]{36}$/)
    t.match(reply.headers, {
      'content-type': /^application\/problem\+json/,
      'cache-control': 'no-store',
      'x-request-id': instance.slice('urn:uuid:'.length),
    })
    t.notOk('www-authenticate' in reply.headers)
  }
  const { reply } = await answerTo(t, new InvalidValueError('So not.', { field: 'name' }))
  t.same(reply.json().errors, [{ pointer: '/name', detail: 'So not.' }])
})

t.test('attack 131: what is no error of ours says nothing', async (t) => {
  const { reply, logged } = await answerTo(t, new Error('hunter2'))
  t.equal(reply.statusCode, 500)
  t.match(reply.json(), { type: 'urn:ostiary:problem:server-error', title: 'Internal Server Error' })
  t.notMatch(reply.body, 'hunter2')
  t.match(logged[0], { level: 'error', msg: 'request failed' })
})

t.test('RFC 9110 §10.2.3: a limit and an outage say when to come back', async (t) => {
  const away = await answerTo(t, Object.assign(new pg.DatabaseError('x', 1, 'error'), { code: '57P01' }))
  t.equal(away.reply.statusCode, 503)
  t.match(away.reply.headers, { 'retry-after': '5', 'content-type': /^application\/problem\+json/ })
  const limit = await answerTo(t, new TooManyRequestsError('Too many.', { reason: 'x', retryAfter: 12.3 }))
  t.equal(limit.reply.statusCode, 429)
  t.equal(limit.reply.headers['retry-after'], '13')
})

t.test('attack 122: the wrong method is a problem too, with Allow', async (t) => {
  const { app } = await answerTo(t, new Error('x'))
  const reply = await app.inject({ method: 'GET', url: '/things' })
  t.equal(reply.statusCode, 405)
  t.equal(reply.headers.allow, 'POST')
  t.match(reply.json(), { type: 'urn:ostiary:problem:http-405', status: 405 })
})
