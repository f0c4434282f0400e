import fc from 'fast-check'
import { type Encoding, type Mutation, type Parameter, type Plan, recipes, type Text } from './plan.js'
import type { Reference } from './scene.js'
import { infamous, long } from './texts.js'

const references = [
  'clientId',
  'clientSecret',
  'postClientId',
  'postClientSecret',
  'publicClientId',
  'weakClientId',
  'apiClientId',
  'apiClientSecret',
  'email',
  'password',
  'code',
  'otherCode',
  'accessToken',
  'otherAccessToken',
  'refreshToken',
  'usedRefreshToken',
  'otherRefreshToken',
  'staleRefreshToken',
  'interaction',
  'loginToken',
  'consentInteraction',
  'consentToken',
  'browserCookie',
  'sessionCookie',
] satisfies readonly Reference[]

const stolen = fc.record(
  {
    of: fc.constantFrom(...references),
    flipped: fc.array(fc.nat(5000), { minLength: 1, maxLength: 3 }),
    cut: fc.nat(700),
  },
  { requiredKeys: ['of'] },
)

const text: fc.Arbitrary<Text> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...infamous) },
  { weight: 3, arbitrary: stolen },
  { weight: 2, arbitrary: fc.string({ maxLength: 24 }) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
  { weight: 1, arbitrary: fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)), maxLength: 8 }) },
  { weight: 1, arbitrary: long },
)

const encodings = ['form', 'every byte', 'twice', 'overlong', 'bad', 'none', 'utf-16'] satisfies readonly Encoding[]

const names = [
  'grant_type',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'code',
  'code_verifier',
  'redirect_uri',
  'refresh_token',
  'scope',
  'resource',
  'token',
  'token_type_hint',
  'response_type',
  'response_mode',
  'state',
  'nonce',
  'prompt',
  'max_age',
  'login_hint',
  'request',
  'request_uri',
  'registration',
  'code_challenge',
  'code_challenge_method',
  'csrf_token',
  'username',
  'password',
  'action',
  '__proto__',
  'constructor',
]

const parameter: fc.Arbitrary<Parameter> = fc.record({
  name: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: text }),
  value: text,
  encoding: fc.constantFrom(...encodings),
})

const headers = fc.oneof(
  fc.record({
    name: fc.constantFrom('content-type'),
    value: fc.constantFrom(
      'application/json',
      'application/x-www-form-urlencoded; charset=utf-16',
      'application/x-www-form-urlencoded;charset="UTF-8"',
      'application/x-www-form-urlencoded; charset=utf-8; charset=utf-7',
      'multipart/form-data; boundary=x',
      'multipart/form-data',
      'text/plain',
      '',
      ';',
      'application/x-www-form-urlencoded\t;charset=utf-8',
    ),
  }),
  fc.record({
    name: fc.constantFrom('content-encoding', 'transfer-encoding', 'accept-encoding'),
    value: fc.constantFrom('gzip', 'identity', 'br, gzip', 'chunked', 'IDENTITY', ''),
  }),
  fc.record({
    name: fc.constantFrom(
      'accept',
      'accept-language',
      'host',
      'origin',
      'referer',
      'x-forwarded-for',
      'x-forwarded-host',
      'x-forwarded-proto',
      'forwarded',
      'x-request-id',
      'if-none-match',
      'range',
      'dpop',
      'authorization',
      'access-control-request-method',
      'user-agent',
      'x-http-method-override',
      'expect',
      'upgrade',
      'cookie',
    ),
    value: text,
  }),
)

const place = fc.nat(9)

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('value' as const), at: place, value: text }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom('drop' as const, 'repeat' as const, 'to the query' as const, 'nest' as const),
      at: place,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('name' as const),
      at: place,
      value: fc.oneof(fc.constantFrom(...names), text),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('encode' as const), at: place, encoding: fc.constantFrom(...encodings) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('add' as const), parameter }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('many' as const),
      count: fc.constantFrom(2, 190, 199, 200, 201, 1000, 9000),
      name: fc.constantFrom('x', 'resource', 'scope', ''),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('basic' as const),
      id: text,
      secret: text,
      encoding: fc.constantFrom(...encodings),
    }),
  },
  { weight: 3, arbitrary: headers.map(({ name, value }) => ({ kind: 'header' as const, name, value })) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('cookie' as const),
      name: fc.constantFrom(
        'ostiary_session',
        'ostiary_browser',
        'ostiary_demo',
        '__Host-ostiary_session',
        '',
        '__proto__',
      ),
      value: text,
      instead: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('method' as const),
      method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('path' as const),
      path: fc.oneof(
        text,
        fc.constantFrom(
          'token/',
          '/token',
          'TOKEN',
          '%74oken',
          'token%2f',
          'token;a=b',
          './token',
          'x/../token',
          'token%00',
        ),
        text.map((id) => (typeof id === 'string' ? `interaction/${id}/login` : id)),
        fc.constantFrom('interaction/oin_1_x/consent', 'interaction//login', `interaction/${'x'.repeat(300)}/login`),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), length: fc.nat(400) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('body' as const),
      bytes: fc.array(fc.nat(255), { maxLength: 64 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('from' as const),
      address: fc.constantFrom(
        '198.51.100.7',
        '2001:db8::1',
        '2001:db8:0:1::1',
        '::ffff:192.0.2.1',
        'fe80::1%eth0',
        '',
      ),
    }),
  },
)

/** The ones that end in a password hash come less often: they cost a thousand times as much. */
const slow: readonly Plan['recipe'][] = ['login', 'clientCredentials']
const quick = Object.keys(recipes).filter((name): name is Plan['recipe'] => !slow.some((each) => each === name))

/** A request that is right but for one to four things; rarely one that is right, or much worse. */
export const plan: fc.Arbitrary<Plan> = fc.record({
  recipe: fc.oneof(
    { weight: 40, arbitrary: fc.constantFrom(...quick) },
    { weight: 1, arbitrary: fc.constantFrom(...slow) },
  ),
  mutations: fc.oneof(
    { weight: 12, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 4 }) },
    { weight: 1, arbitrary: fc.array(mutation, { minLength: 5, maxLength: 12 }) },
    { weight: 1, arbitrary: fc.constant([]) },
  ),
  strict: fc.nat(4).map((number) => number === 3),
})

/** What is done to the bytes of a request that goes over a connection of its own. */
export type RawMutation =
  | { readonly kind: 'flip'; readonly at: number; readonly mask: number }
  | { readonly kind: 'cut'; readonly length: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: string }
  | { readonly kind: 'replace'; readonly what: string; readonly by: string }
  | { readonly kind: 'head'; readonly line: string }
  | { readonly kind: 'chunked'; readonly body: string }
  | { readonly kind: 'again'; readonly times: number }
  | { readonly kind: 'instead'; readonly bytes: string }

export interface RawPlan {
  readonly plan: Plan
  readonly raw: readonly RawMutation[]
}

const rawMutation: fc.Arbitrary<RawMutation> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(600), mask: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ kind: fc.constant('cut' as const), length: fc.nat(900) }),
  fc.record({
    kind: fc.constant('insert' as const),
    at: fc.nat(300),
    bytes: fc.constantFrom(
      '\0',
      '\r',
      '\n',
      '\r\n',
      '\r\n\r\n',
      ' ',
      '\t',
      ':',
      '\x7f',
      '\xff\xfe',
      '\xed\xa0\x80',
      '\x16\x03\x01',
    ),
  }),
  fc.constantFrom<RawMutation>(
    { kind: 'replace', what: '\r\n', by: '\n' },
    { kind: 'replace', what: 'HTTP/1.1', by: 'HTTP/1.0' },
    { kind: 'replace', what: 'HTTP/1.1', by: 'HTTP/2.0' },
    { kind: 'replace', what: ' HTTP/1.1', by: '' },
    { kind: 'replace', what: 'host:', by: 'x:' },
    { kind: 'replace', what: 'POST', by: 'CONNECT' },
    { kind: 'replace', what: 'POST', by: 'P\u00d6ST' },
    { kind: 'replace', what: ' /', by: ' http://other.example/' },
    { kind: 'replace', what: ' /', by: ' *' },
    { kind: 'replace', what: 'content-length: ', by: 'content-length: -' },
    { kind: 'replace', what: 'content-length: ', by: 'content-length: 9999999' },
    { kind: 'replace', what: 'content-length: ', by: 'content-length : ' },
    { kind: 'head', line: 'content-length: 3' },
    { kind: 'head', line: 'transfer-encoding: chunked' },
    { kind: 'head', line: 'transfer-encoding: chunked, identity' },
    { kind: 'head', line: 'transfer-encoding: xchunked' },
    { kind: 'head', line: 'host: other.example' },
    { kind: 'head', line: 'authorization: Basic eDp5' },
    { kind: 'head', line: 'content-type: application/json' },
    { kind: 'head', line: ' folded: x' },
    { kind: 'head', line: 'expect: 100-continue' },
    { kind: 'head', line: 'expect: 200-maybe' },
    { kind: 'head', line: 'upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQAAP__' },
    { kind: 'head', line: 'upgrade: websocket\r\nconnection: upgrade' },
    { kind: 'head', line: `x-long: ${'x'.repeat(17_000)}` },
    { kind: 'head', line: Array.from({ length: 2100 }, (_, index) => `x${index}: 1`).join('\r\n') },
    { kind: 'head', line: 'cookie: ostiary_session=a\r\ncookie: ostiary_session=b' },
    { kind: 'head', line: 'trailer: x\r\nte: trailers' },
    { kind: 'chunked', body: '5\r\ntoken\r\n2\r\n=x\r\n0\r\n\r\n' },
    { kind: 'chunked', body: 'ffffffffffffffff1\r\ntoken\r\n0\r\n\r\n' },
    { kind: 'chunked', body: '5;a="\n";b\r\ntoken\r\n0\r\nx: y\r\n\r\n' },
    { kind: 'chunked', body: '-1\r\ntoken\r\n0\r\n\r\n' },
    { kind: 'chunked', body: '5\r\ntokenXX2\r\n=x\r\n0\r\n\r\n' },
    { kind: 'chunked', body: `${'1\r\na\r\n'.repeat(3000)}0\r\n\r\n` },
    { kind: 'chunked', body: '0\r\n\r\nGET /jwks HTTP/1.1\r\nhost: x\r\n\r\n' },
    { kind: 'instead', bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' },
    { kind: 'instead', bytes: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' },
    { kind: 'instead', bytes: `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n` },
    { kind: 'instead', bytes: 'GET /\ud83d\ude00\xff HTTP/1.1\r\nhost: x\r\n\r\n' },
    { kind: 'instead', bytes: '\r\n\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n' },
    { kind: 'instead', bytes: 'GET' },
  ),
  fc.record({ kind: fc.constant('again' as const), times: fc.integer({ min: 1, max: 6 }) }),
)

export const rawPlan: fc.Arbitrary<RawPlan> = fc.record({
  plan,
  raw: fc.array(rawMutation, { maxLength: 3 }),
})
