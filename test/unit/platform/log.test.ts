import t from 'tap'
import { createLogger, type LoggerOptions } from '../../../src/platform/log.js'

/** A logger and what it wrote. */
function capture(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = []
  const log = createLogger({
    level: 'trace',
    pretty: false,
    destination: { write: (line) => lines.push(line) },
    ...options,
  })
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '') }
}

t.test('without a terminal each line is a JSON document with an ISO time', async (t) => {
  const { log, lines, last } = capture()
  log.info({ clientId: 'demo' }, 'token issued')
  t.match(last(), { level: 'info', msg: 'token issued', clientId: 'demo', pid: process.pid })
  t.match(last().time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  t.match(lines[0], /\n$/)
})

t.test('the level decides what is written', async (t) => {
  const { log, lines } = capture({ level: 'warn' })
  log.info('no')
  log.warn('yes')
  t.equal(lines.length, 1)
})

t.test('attack 131: what is named like a secret is struck out, at any depth', async (t) => {
  const { log, lines } = capture()
  const names = [
    'authorization',
    'Authorization',
    'cookie',
    'set-cookie',
    'password',
    'new_password',
    'client_secret',
    'clientSecret',
    'token',
    'access_token',
    'refreshToken',
    'id_token_hint',
    'code',
    'code_verifier',
    'codeVerifier',
    'client_assertion',
    'masterKey',
    'csrf_token',
    'email',
    'username',
    'login_hint',
    'state',
  ]
  for (const name of names.filter((name) => name !== 'id_token_hint')) {
    log.info({ [name]: 'hunter2' }, name)
    log.info({ a: { b: [{ [name]: 'hunter2' }] } }, name)
    log.child({ x: 1 }).warn({ [name]: { deep: 'hunter2' } }, name)
  }
  log.info({ key: Buffer.from('hunter2'), map: new Map([['x', 'hunter2']]) }, 'binary')
  log.info({ a: { b: { c: { d: { e: { f: { g: 'hunter2' } } } } } } }, 'too deep to look at')
  t.notMatch(lines.join(''), 'hunter2')
})

t.test('what is not a secret stays', async (t) => {
  const { log, last } = capture()
  const fields = {
    clientId: 'x',
    reason: 'code_replayed',
    status: 400,
    tokens: 3,
    list: ['a', { b: 1 }],
    nothing: null,
  }
  log.info({ ...fields, tokens: undefined }, 'x')
  t.match(last(), { clientId: 'x', reason: 'code_replayed', status: 400, list: ['a', { b: 1 }], nothing: null })
})

t.test('a request is logged by method and route, never by its address or headers', async (t) => {
  const { log, lines, last } = capture()
  const request = {
    method: 'GET',
    id: 'r1',
    url: '/authorize?code=hunter2',
    headers: { authorization: 'hunter2' },
    query: { code: 'hunter2' },
    routeOptions: { url: '/authorize' },
  }
  log.info({ req: Object.create(request, Object.getOwnPropertyDescriptors(request)), res: { statusCode: 200 } }, 'x')
  t.match(last(), { req: { method: 'GET', route: '/authorize', requestId: 'r1' }, res: { status: 200 } })
  t.notMatch(lines.join(''), 'hunter2')
})

t.test('an error of the database is logged without the values of its statement', async (t) => {
  const { log, lines, last } = capture()
  const pg = Object.assign(new Error('duplicate key value violates unique constraint "user_email_key"'), {
    code: '23505',
    severity: 'ERROR',
    detail: 'Key (email)=(hunter2@example.com) already exists.',
    constraint: 'user_email_key',
    where: 'hunter2',
    parameters: ['hunter2'],
    query: 'hunter2',
  })
  log.error({ err: pg }, 'failed')
  t.match(last().err, { code: '23505', constraint: 'user_email_key', message: /unique constraint "user_email_key"/ })

  log.error({ err: Object.assign(new Error('invalid input syntax for type uuid: "hunter2"'), { code: '22P02' }) }, 'x')
  const prisma = new Error(
    '\nInvalid `prisma.user.create()` invocation:\n\n{ data: { email: "hunter2" } }\n\nUnknown argument.',
  )
  prisma.name = 'PrismaClientValidationError'
  log.error({ err: prisma })
  log.error(prisma)
  t.match(last(), { msg: 'Unknown argument.', err: { message: 'Unknown argument.' } })

  log.error({ err: new Error('cannot connect to postgresql://ostiary:hunter2@db/ostiary') })
  log.error({ err: new Error('refused', { cause: new Error('eyJhbGciOiJFUzI1NiJ9.hunter2.hunter2') }) })
  log.error(new Error(`no row for ort_2a_${'hunter2'.padEnd(43, '_')}`))
  log.error(new Error('got https://api.example/cb?code=hunter2'), 'told')
  t.notMatch(lines.join(''), 'hunter2')
})

t.test('an error keeps its causes and where it happened', async (t) => {
  const { log, last } = capture()
  log.error({ err: new AggregateError([new Error('::1 refused')], '', { cause: new TypeError('inner') }) }, 'x')
  t.match(last().err, {
    type: 'AggregateError',
    cause: { type: 'TypeError', message: 'inner' },
    errors: [{ message: '::1 refused' }],
    stack: [/^at /],
  })
})

t.test('at a terminal a line is short', async (t) => {
  const { log, lines } = capture({ pretty: true })
  log.info({ clientId: 'demo', note: 'two words', requestId: 'r1' }, 'token issued')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
  const plain = lines.join('').replace(/\u001b\[\d+m/g, '')
  t.match(plain, /^\d\d:\d\d:\d\d INFO {2}token issued clientId=demo note="two words"\n$/)
})

t.test('attack 131: nothing in a value forges a line or moves the cursor', async (t) => {
  const { log, lines } = capture({ pretty: true })
  log.warn({ name: 'a\n00:00:00 INFO all is well\u001b[2J\u009b2J\u202e', 'k\n': 1 }, 'b\nc')
  t.equal(lines.join('').split('\n').length, 2)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
  t.notMatch(lines.join(''), /\u001b\[2J|\u009b|\u202e/)

  const json = capture()
  json.log.warn({ name: 'a\nb' }, 'c\nd')
  t.equal(json.lines.join('').split('\n').length, 2)
})
