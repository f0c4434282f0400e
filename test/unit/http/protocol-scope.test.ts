import pg from 'pg'
import t from 'tap'
import { protocolScope } from '../../../src/http/index.js'
import {
  InvalidClientError,
  InvalidGrantError,
  TemporarilyUnavailableError,
  TooManyRequestsError,
} from '../../../src/oauth/index.js'
import { DeadlineError } from '../../../src/platform/batch.js'
import { QueueFullError } from '../../../src/platform/crypto/password.js'
import { bareServer } from '../../support/http.js'

/** POST /token throws what it is given. */
async function answerTo(t: Parameters<typeof bareServer>[0], error: unknown) {
  const { app, logged } = bareServer(t)
  protocolScope(app, (scope) => {
    scope.post('/token', async () => {
      throw error
    })
  })
  const reply = await app.inject({ method: 'POST', url: '/token' })
  return { reply, logged }
}

t.test('RFC 6749 §5.2: an error is JSON with error and error_description, and is not stored', async (t) => {
  const { reply, logged } = await answerTo(
    t,
    new InvalidGrantError('The code is invalid.', { reason: 'code_replayed' }),
  )
  t.equal(reply.statusCode, 400)
  t.same(reply.json(), { error: 'invalid_grant', error_description: 'The code is invalid.' })
  t.match(reply.headers, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    pragma: 'no-cache',
  })
  t.notMatch(reply.body, 'code_replayed')
  t.match(logged[0], { level: 'info', error: 'invalid_grant', reason: 'code_replayed', msg: 'request refused' })
  t.match(logged[0], { expected: /^a code that was not used before/, section: 'RFC 6749 §4.1.2, §10.5' })
})

t.test('RFC 6749 §5.1: an answer is not stored', async (t) => {
  const { app } = bareServer(t)
  protocolScope(app, (scope) => {
    scope.post('/token', async () => ({ access_token: 'x' }))
  })
  const { headers } = await app.inject({ method: 'POST', url: '/token' })
  t.match(headers, { 'cache-control': 'no-store', pragma: 'no-cache' })
})

t.test('RFC 6749 §5.2: a client that failed to authenticate is asked for Basic', async (t) => {
  const { reply } = await answerTo(t, new InvalidClientError('The client is unknown.', { reason: 'client_unknown' }))
  t.equal(reply.statusCode, 401)
  t.equal(reply.headers['www-authenticate'], 'Basic realm="http://localhost:3000", charset="UTF-8"')
  t.equal(reply.json().error, 'invalid_client')
})

t.test('RFC 9110 §10.2.3: a limit and an outage say in whole seconds when to come back', async (t) => {
  const limit = await answerTo(t, new TooManyRequestsError('Too many.', { reason: 'x', retryAfter: 12.3 }))
  t.equal(limit.reply.statusCode, 429)
  t.equal(limit.reply.headers['retry-after'], '13')
  t.equal(limit.reply.json().error, 'temporarily_unavailable')

  const outage = await answerTo(t, new TemporarilyUnavailableError('Not now.', { reason: 'x', retryAfter: 0 }))
  t.equal(outage.reply.headers['retry-after'], '1')
})

t.test('attack 134: with the database away the answer is 503 with Retry-After', async (t) => {
  for (const error of [
    Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
    Object.assign(new pg.DatabaseError('terminating connection due to administrator command', 0, 'error'), {
      code: '57P01',
    }),
    new Error('Connection terminated unexpectedly'),
    new DeadlineError('no answer in time'),
    new QueueFullError(),
  ]) {
    const { reply, logged } = await answerTo(t, error)
    t.equal(reply.statusCode, 503, error.message)
    t.equal(reply.headers['retry-after'], '5')
    t.equal(reply.json().error, 'temporarily_unavailable')
    t.notMatch(reply.body, error.message)
    t.match(logged[0], { level: 'warn', err: { message: error.message } })
  }
})

t.test('anything else is logged with the request id and answered without a word of it', async (t) => {
  const secrets = ['hunter2', { toString: () => 'hunter2' }, undefined, null, 7]
  for (const thrown of [new TypeError('hunter2 is not a function'), ...secrets]) {
    const { reply, logged } = await answerTo(t, thrown)
    t.equal(reply.statusCode, 500)
    t.same(reply.json(), { error: 'server_error', error_description: 'The server failed to answer.' })
    t.equal(logged[0]?.level, 'error')
    t.equal(logged[0]?.requestId, reply.headers['x-request-id'])
  }
})

t.test('an error with a status of its own cannot choose what is said', async (t) => {
  const { reply } = await answerTo(
    t,
    Object.assign(new Error('hunter2'), { statusCode: 418, headers: { 'x-evil': '1' } }),
  )
  t.equal(reply.statusCode, 418)
  t.same(reply.json(), { error: 'invalid_request', error_description: 'The request is malformed.' })
  t.notOk('x-evil' in reply.headers)
})
