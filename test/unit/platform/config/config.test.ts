import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  ConfigError,
  describeVariables,
  loadConfig,
  type Problem,
  withListeningPort,
} from '../../../../src/platform/config/index.js'

const folder = mkdtempSync(join(tmpdir(), 'ostiary-config-'))
t.teardown(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const TLS = {
  TLS_CERT_FILE: new URL('../../../support/tls/cert.pem', import.meta.url).pathname,
  TLS_KEY_FILE: new URL('../../../support/tls/key.pem', import.meta.url).pathname,
}

type Env = Readonly<Record<string, string>>

const config = (env: Env = {}, envFile = '') => loadConfig({ env, envFile }).config
const warnings = (env: Env = {}, envFile = '') => loadConfig({ env, envFile }).warnings

function problems(env: Env, envFile = ''): readonly Problem[] {
  try {
    loadConfig({ env, envFile })
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

t.test('without any setting the defaults hold, without a warning', async (t) => {
  t.match(config(), {
    server: { host: 'localhost', port: 3000, issuer: 'http://localhost:3000', trustProxy: false, processes: 1 },
    database: { url: undefined, dataDir: '.data', poolSize: 10 },
    log: { level: 'info' },
    secrets: { masterKey: undefined, masterKeyPrevious: undefined },
    tokens: {
      accessTokenLifetime: 600,
      authorizationCodeLifetime: 60,
      refreshTokenIdleLifetime: 604_800,
      refreshTokenLifetime: 2_592_000,
    },
    keys: { signingAlg: 'ES256', rotationInterval: 7_776_000, publishBefore: 86_400 },
    sessions: { idleLifetime: 43_200, lifetime: 604_800, interactionLifetime: 3600 },
    limits: {
      failuresPerAccount: 10,
      failuresPerClient: 10,
      failuresPerNetwork: 100,
      failureWindow: 600,
      passwordQueue: 64,
      revocationStreams: 1000,
    },
    audit: { retentionDays: 90 },
  })
  t.same(warnings(), [])
})

t.test('the environment comes before .env, and an empty value counts as absent', async (t) => {
  t.equal(config({ PORT: '4000' }, 'PORT=5000').server.port, 4000)
  t.equal(config({ PORT: '' }, 'PORT=5000').server.port, 5000)
  t.equal(config({}, 'PORT=').server.port, 3000)
})

t.test('the configuration cannot be changed after it was checked', async (t) => {
  const { server } = config({ TRUST_PROXY: '10.0.0.1' })
  t.throws(() => Object.assign(server, { issuer: 'https://evil.example' }))
  t.throws(() => Object.assign(server.trustProxy, { 0: '0.0.0.0/0' }))
})

t.test('all problems are reported at once, each with what to do', async (t) => {
  const found = problems({ PORT: '10m', ACCESS_TOKEN_LIFETIME: '5', SIGNING_ALG: 'HS256', HOST: '0.0.0.0' }, 'ISUER=x')
  t.same(
    found.map(({ variable }) => variable),
    ['ISUER', 'PORT', 'ISSUER', 'ACCESS_TOKEN_LIFETIME', 'SIGNING_ALG'],
  )
  for (const { variable, advice } of found) t.match(advice, /^[A-Z].*[.?]$/, variable)
  t.throws(() => config({ PORT: '10m', SIGNING_ALG: 'none' }), {
    name: 'ConfigError',
    message:
      /2 problems:\n {2}PORT is "10m".*\n {2}SIGNING_ALG is "none"\. Set it to one of ES256, RS256, PS256, EdDSA/,
  })
})

t.test('numbers: bounds are inclusive, and nothing but digits is read', async (t) => {
  for (const { name, minimum, maximum } of describeVariables()) {
    if (minimum === undefined || maximum === undefined) continue
    t.same(
      problems({ [name]: String(minimum - 1) }).map(({ variable }) => variable),
      [name],
      `${name} below`,
    )
    t.ok(
      problems({ [name]: String(maximum + 1) }).some(({ variable }) => variable === name),
      `${name} above`,
    )
  }
  for (const text of ['1e3', '0x10', '-1', '600.0', ' 600', '٦٠٠', '9'.repeat(40), 'Infinity']) {
    t.equal(problems({ ACCESS_TOKEN_LIFETIME: text }).length, 1, text)
  }
})

t.test('an unknown name in .env is an error with a suggestion', async (t) => {
  t.match(problems({}, 'ACCES_TOKEN_LIFETIME=60'), [
    { variable: 'ACCES_TOKEN_LIFETIME', advice: 'Did you mean ACCESS_TOKEN_LIFETIME?' },
  ])
  t.match(problems({}, 'MASTER_KEYFILE=x'), [{ advice: 'Did you mean MASTER_KEY_FILE?' }])
  t.match(problems({}, 'port=4000'), [{ variable: 'port', advice: 'Did you mean PORT?' }])
  t.match(problems({}, 'SMTP_SERVER=x'), [{ advice: /^Remove it/ }])
})

t.test('a line of .env that is no assignment is reported without its text', async (t) => {
  const [problem] = problems({}, 'c2VjcmV0LXZhbHVl\nPORT=4000')
  t.equal(problem?.variable, '.env')
  t.notMatch(JSON.stringify(problem), 'c2VjcmV0LXZhbHVl')
})

t.test('a name in the environment one edit away from ours is a warning', async (t) => {
  for (const [name, meant] of [
    ['ISUER', 'ISSUER'],
    ['ISSUERS', 'ISSUER'],
    ['DATABASE_URI', 'DATABASE_URL'],
    ['MASTER_KEY_FIEL', 'MASTER_KEY_FILE'],
    ['TRUSTPROXY', 'TRUST_PROXY'],
  ] as const) {
    t.match(warnings({ [name]: 'x' }), [new RegExp(`^${name} .*Did you mean ${meant}\\?$`)], name)
  }
})

t.test('names that other programs use do not warn', async (t) => {
  const names =
    'PATH HOME HOSTNAME USER SHELL LANG TERM PWD OLDPWD SHLVL LOGNAME MAIL TZ EDITOR DISPLAY TMPDIR NODE_ENV NODE_OPTIONS ' +
    'LOG LOGS DATABASE HOSTTYPE POST HOSTS CI GITHUB_ACTIONS PGHOST PGPORT PGUSER KUBERNETES_PORT TEST_DATABASE_URL npm_config_cache'
  for (const name of names.split(' ')) {
    t.same(warnings({ [name]: 'x' }), [], name)
  }
})

t.test('a secret comes from the environment or from a file, without its last line break', async (t) => {
  const url = 'postgresql://ostiary:secret@db.example/ostiary'
  t.equal(config({ DATABASE_URL: url }).database.url, url)
  t.equal(config({ DATABASE_URL_FILE: file('url', `${url}\n`) }).database.url, url)
  t.equal(config({}, `DATABASE_URL_FILE=${file('url-crlf', `${url}\r\n`)}`).database.url, url)
})

t.test('a secret given twice, or by a file that is missing or empty, is an error', async (t) => {
  const path = file('twice', 'postgresql://a@b/c')
  t.match(problems({ DATABASE_URL: 'postgresql://a@b/c', DATABASE_URL_FILE: path }), [
    { problem: /both set/, advice: 'Keep one of them.' },
  ])
  t.match(problems({ MASTER_KEY_FILE: join(folder, 'missing') }), [{ variable: 'MASTER_KEY_FILE', problem: /ENOENT/ }])
  t.match(problems({ MASTER_KEY_FILE: folder }), [{ variable: 'MASTER_KEY_FILE', problem: /EISDIR/ }])
  t.match(problems({ MASTER_KEY_FILE: file('empty', '\n') }), [{ variable: 'MASTER_KEY_FILE', problem: /empty/ }])
})

t.test('the master key is 32 bytes in base64, base64url or hex', async (t) => {
  const key = Buffer.from([...Array(32).keys()].map((byte) => byte * 8 + 3))
  for (const text of [key.toString('base64'), key.toString('base64url'), key.toString('hex')]) {
    t.same(config({ MASTER_KEY: text }).secrets.masterKey, key)
    t.same(config({ MASTER_KEY_FILE: file('key', `${text}\n`) }).secrets.masterKey, key)
  }
  for (const text of ['short', key.subarray(1).toString('base64'), `${key.toString('base64')}!`, 'correct horse']) {
    t.match(problems({ MASTER_KEY: text }), [{ variable: 'MASTER_KEY' }], text)
  }
})

t.test('no message repeats a secret', async (t) => {
  const secret = 'hunter2-hunter2-hunter2'
  const found = problems({ MASTER_KEY: secret, DATABASE_URL: `mysql://root:${secret}@db/x` })
  t.equal(found.length, 2)
  t.notMatch(new ConfigError(found).message, secret)
})

t.test('the issuer is required where HOST is not loopback', async (t) => {
  for (const HOST of ['0.0.0.0', '::', '192.0.2.1', 'auth.example.com']) {
    t.match(problems({ HOST }), [{ variable: 'ISSUER' }], HOST)
    t.equal(config({ HOST, ISSUER: 'https://auth.example.com' }).server.issuer, 'https://auth.example.com')
  }
  for (const HOST of ['localhost', '127.0.0.1', '127.9.9.9', '::1']) t.same(problems({ HOST }), [], HOST)
  for (const HOST of ['http://localhost', 'localhost:3000', '[::1]', 'a b', '*']) {
    t.match(problems({ HOST, ISSUER: 'https://a.example' }), [{ variable: 'HOST' }], HOST)
  }
})

t.test(
  'RFC 8414 §2: the issuer is a URL without query or fragment, https unless loopback, in one spelling',
  async (t) => {
    for (const ISSUER of [
      'https://auth.example.com',
      'https://auth.example.com:8443',
      'https://example.com/auth/v1',
      'http://localhost:3000',
      'http://127.0.0.1:8080',
      'http://[::1]:3000',
      'https://localhost',
    ]) {
      t.equal(config({ ISSUER }).server.issuer, ISSUER)
    }
    for (const [ISSUER, advice] of [
      ['http://auth.example.com', /Use https/],
      ['http://localhost.evil.example', /Use https/],
      ['http://10.0.0.1', /Use https/],
      ['https://auth.example.com/', /Write it as https:\/\/auth\.example\.com\.$/],
      ['https://Auth.Example.com', /Write it as https:\/\/auth\.example\.com\.$/],
      ['https://auth.example.com:443', /Write it as/],
      ['https://auth.example.com/a/../b', /Write it as/],
      ['https://auth.example.com/a//b', /single slashes/],
      ['https://auth.example.com/a%2fb', /single slashes/],
      ['https://auth.example.com?x=1', /Leave them out/],
      ['https://auth.example.com?', /Leave them out/],
      ['https://auth.example.com#x', /Leave them out/],
      ['https://user@auth.example.com', /Leave them out/],
      ['auth.example.com', /Write it like/],
      ['ftp://auth.example.com', /Write it like/],
    ] as const) {
      t.match(problems({ ISSUER }), [{ variable: 'ISSUER', advice }], ISSUER)
    }
  },
)

t.test('the default issuer has the port, https with TLS, and the port that the system chose', async (t) => {
  t.equal(config({ PORT: '4000' }).server.issuer, 'http://localhost:4000')
  t.equal(config({ PORT: '4000', ...TLS }).server.issuer, 'https://localhost:4000')
  t.equal(withListeningPort(config({ PORT: '0' }), 5123).server.issuer, 'http://localhost:5123')
  t.equal(
    withListeningPort(config({ PORT: '0', ISSUER: 'https://a.example' }), 5123).server.issuer,
    'https://a.example',
  )
})

t.test('TLS needs both files, readable, and of one key pair', async (t) => {
  t.same(config(TLS).server.tls, { certFile: TLS.TLS_CERT_FILE, keyFile: TLS.TLS_KEY_FILE })
  t.match(problems({ TLS_CERT_FILE: TLS.TLS_CERT_FILE }), [{ variable: 'TLS_KEY_FILE', problem: /missing/ }])
  t.match(problems({ TLS_KEY_FILE: TLS.TLS_KEY_FILE }), [{ variable: 'TLS_CERT_FILE', problem: /missing/ }])
  t.match(problems({ ...TLS, TLS_CERT_FILE: '/nowhere' }), [{ variable: 'TLS_CERT_FILE', problem: /ENOENT/ }])
  t.match(problems({ ...TLS, TLS_CERT_FILE: TLS.TLS_KEY_FILE }), [{ variable: 'TLS_CERT_FILE' }])
  t.match(problems({ ...TLS, TLS_KEY_FILE: TLS.TLS_CERT_FILE }), [{ variable: 'TLS_KEY_FILE' }])
  t.match(problems({ ...TLS, ISSUER: 'http://localhost:3000' }), [{ variable: 'ISSUER' }])
})

t.test('attack 101: only named proxies are believed, never everybody', async (t) => {
  t.same(config({ TRUST_PROXY: 'loopback' }).server.trustProxy, ['loopback'])
  t.same(config({ TRUST_PROXY: '10.0.0.0/8, 192.0.2.7,2001:db8::/32' }).server.trustProxy, [
    '10.0.0.0/8',
    '192.0.2.7',
    '2001:db8::/32',
  ])
  t.equal(config({ TRUST_PROXY: 'false' }).server.trustProxy, false)
  for (const TRUST_PROXY of ['true', '1', '0.0.0.0/0', '::/0', '10.0.0.0/33', 'proxy.example', '10.0.0.1,', '*']) {
    t.match(problems({ TRUST_PROXY }), [{ variable: 'TRUST_PROXY' }], TRUST_PROXY)
  }
})

t.test('a line of .env that sets nothing is a slip', async (t) => {
  t.match(problems({}, 'MASTER_KEY_FILE /run/secrets/key\n'), [{ variable: 'MASTER_KEY_FILE', problem: /no =/ }])
  t.match(problems({}, 'PORT=3001\nfoo\n'), [{ variable: '.env' }])
  t.notMatch(JSON.stringify(problems({}, 'hunter2\n')), /hunter2/, 'it may be a secret')
  const odd = '# a comment\n\nexport PORT=3001 # another\n  HOST = localhost\nLOG_LEVEL="info"\n'
  t.equal(config({}, odd).server.port, 3001)
})

t.test('lifetimes that contradict each other are refused', async (t) => {
  t.match(problems({ REFRESH_TOKEN_LIFETIME: '3600' }), [{ variable: 'REFRESH_TOKEN_IDLE_LIFETIME' }])
  t.match(problems({ SESSION_LIFETIME: '3600' }), [{ variable: 'SESSION_IDLE_LIFETIME' }])
  t.match(problems({ SIGNING_KEY_ROTATION_INTERVAL: '86400' }), [{ variable: 'SIGNING_KEY_PUBLISH_BEFORE' }])
})

t.test('RFC 9700: a setting that weakens a default warns at start', async (t) => {
  const weaker: readonly Env[] = [
    { ACCESS_TOKEN_LIFETIME: '3600' },
    { REFRESH_TOKEN_IDLE_LIFETIME: '2678400', REFRESH_TOKEN_LIFETIME: '2678400' },
    { SESSION_IDLE_LIFETIME: '1000000', SESSION_LIFETIME: '1000000' },
    { FAILURES_PER_ACCOUNT: '1000' },
    { FAILURES_PER_CLIENT: '1000' },
    { FAILURES_PER_NETWORK: '100000' },
    { HOST: '0.0.0.0', ISSUER: 'https://auth.example.com' },
  ]
  for (const env of weaker) {
    const [name = ''] = Object.keys(env)
    t.match(warnings(env), [new RegExp(`^${name} is `)], name)
  }
  t.same(warnings({ HOST: '0.0.0.0', ISSUER: 'https://auth.example.com', TRUST_PROXY: '10.0.0.1' }), [])
})

t.test('receivers of revocations are URLs, each with its credential or none', async (t) => {
  t.same(config().revocation, { receivers: [] })
  const [one, two] = ['https://one.example/events?tenant=1', 'http://127.0.0.1:8080/']
  t.same(config({ REVOCATION_RECEIVERS: ` ${one}  ${two} ` }).revocation.receivers, [
    { url: one, token: undefined },
    { url: two, token: undefined },
  ])
  const path = file('receiver-tokens', 'abc.DEF-1_2~3+4/5==\n-\n')
  t.same(
    config({ REVOCATION_RECEIVERS: `${one} ${two}`, REVOCATION_RECEIVER_TOKENS_FILE: path }).revocation.receivers,
    [
      { url: one, token: 'abc.DEF-1_2~3+4/5==' },
      { url: two, token: undefined },
    ],
  )
  for (const [wrong, problem] of [
    ['events', /not a URL/],
    ['ftp://one.example/', /not a URL/],
    ['http://one.example/', /plain http/],
    ['https://user:secret@one.example/', /user name or password/],
    ['https://one.example/#part', /fragment/],
    [`${one} ${one}`, /twice/],
    [Array.from({ length: 17 }, (_, n) => `https://${n}.example/secret`).join(' '), /has 17 URLs/],
  ] as const) {
    const [found] = problems({ REVOCATION_RECEIVERS: wrong })
    t.match(found, { variable: 'REVOCATION_RECEIVERS', problem }, wrong)
    t.notMatch(JSON.stringify(found), 'secret')
  }
  for (const tokens of ['one', 'one two three', 'one sec"ret']) {
    const [found] = problems({ REVOCATION_RECEIVERS: `${one} ${two}`, REVOCATION_RECEIVER_TOKENS: tokens })
    t.match(found, { variable: 'REVOCATION_RECEIVER_TOKENS' }, tokens)
    t.notMatch(JSON.stringify(found), 'sec')
  }
  t.match(problems({ REVOCATION_RECEIVER_TOKENS: 'one' }), [{ variable: 'REVOCATION_RECEIVER_TOKENS' }])
})

t.test('OUTBOUND_ALLOW: hosts with port', async (t) => {
  const { config } = loadConfig({ env: { OUTBOUND_ALLOW: 'LOCALHOST:8443, [0::1]:80  intranet.example:443' } })
  t.same(config.outbound.allow, ['localhost:8443', '[::1]:80', 'intranet.example:443'])
  t.same(loadConfig({ env: {} }).config.outbound.allow, [])
  for (const wrong of ['localhost', 'https://localhost:1', 'a b:', 'localhost:70000', 'user@host:1', '*:443']) {
    t.throws(() => loadConfig({ env: { OUTBOUND_ALLOW: wrong } }), { name: 'ConfigError' }, wrong)
  }
})

t.test('SMTP_URL: TLS, but on this machine; a password is never repeated', async (t) => {
  const load = (SMTP_URL: string, MAIL_FROM = 'auth@example.com') => loadConfig({ env: { SMTP_URL, MAIL_FROM } })
  const smtp = (url: string) => load(url).config.mail.smtp
  const from = 'auth@example.com'
  const plain = { user: undefined, password: undefined, from }
  const remote = { host: 'mail.example', port: 587, secure: false, requireTls: true }
  t.same(smtp('smtp://mail.example'), { ...remote, ...plain })
  t.same(smtp('smtps://u%40x:p%2Fw@mail.example'), {
    ...{ host: 'mail.example', port: 465, secure: true, requireTls: false },
    ...{ user: 'u@x', password: 'p/w', from },
  })
  for (const host of ['127.0.0.1', 'localhost', '[::1]'])
    t.match(smtp(`smtp://${host}:25`), { port: 25, requireTls: false })
  for (const url of [
    'mail.example',
    'http://u:hidden@mail.example',
    'smtp://u:hidden@',
    'smtp://u:hidden@mail.example/x?y',
  ]) {
    t.throws(() => load(url), { message: /SMTP_URL is not the address of a mail server/ })
    t.throws(() => load(url), { message: /^(?![\s\S]*hidden)/ })
  }
  for (const address of ['nobody', 'a@b\r\nBcc: c@d', 'A <a@b.example>', 'a@b@c']) {
    t.throws(() => load('smtp://mail.example', address), { message: /MAIL_FROM is .*, which is no address/ })
  }
  t.throws(() => loadConfig({ env: { SMTP_URL: 'smtp://mail.example' } }), { message: /MAIL_FROM is missing/ })
  t.throws(() => loadConfig({ env: { MAIL_FROM: from } }), { message: /SMTP_URL is missing/ })
  t.equal(loadConfig({ env: {} }).config.mail.smtp, undefined)
})
