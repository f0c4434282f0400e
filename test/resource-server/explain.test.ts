import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { createApiKey, endApiKey, rotateApiKey } from '../../src/api-keys/index.js'
import { createRunningServer } from '../support/running-server.js'

// Each question is a process of its own.
t.setTimeout(120_000)

const root = fileURLToPath(new URL('../../', import.meta.url))
const audience = 'https://orders.example'

interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** `npx @ostiary/resource-server`, without what npx adds. */
function run(
  args: readonly string[],
  { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {},
): Promise<Run> {
  const child = spawn(process.execPath, ['--import=tsx', 'packages/resource-server/src/main.ts', ...args], {
    cwd: root,
    env: { PATH: process.env.PATH, ...env },
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (piece) => (stdout += piece))
  child.stderr.on('data', (piece) => (stderr += piece))
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}

const server = await createRunningServer(t)
const { issuer } = server.ctx.config.server
const api = await server.createResource(audience, 'orders:read')
const service = await server.createService('orders:read')
const reply = await server.post('/token', { grant_type: 'client_credentials' }, { authorization: service.basic })
const token: string = reply.json().access_token
const where = ['--issuer', issuer, '--audience', audience]
const asApi = { args: [...where, '--client-id', api.clientId], env: { CLIENT_SECRET: api.clientSecret } }

const shows = (t: Test, { stdout, stderr }: Run): void => {
  for (const part of token.split('.').slice(1))
    t.notOk((stdout + stderr).includes(part), 'no part of the token is printed')
}

t.test('explain: a good token, check by check', async (t) => {
  const result = await run(['explain', token, ...where])
  t.equal(result.code, 0, result.stderr)
  for (const name of ['form', 'signature', 'typ', 'iss', 'aud', 'exp', 'iat', 'binding', 'scope']) {
    t.match(result.stdout, new RegExp(`^ok +${name} `, 'm'))
  }
  shows(t, result)
})

t.test('explain: the token comes by standard input as well', async (t) => {
  for (const args of [['explain'], ['explain', '-']]) {
    const result = await run([...args, ...where], { input: `${token}\n` })
    t.equal(result.code, 0, result.stderr)
    shows(t, result)
  }
})

t.test('explain: everything that is wrong, not only the first', async (t) => {
  const other = await run(['explain', token, '--issuer', issuer, '--audience', 'https://other.example'])
  t.equal(other.code, 1)
  t.match(other.stdout, /^refused +aud +"https:\/\/orders\.example"; expected is "https:\/\/other\.example"/m)
  t.match(other.stdout, /^ok +signature /m)
  t.match(other.stdout, /It is refused\.\n$/)
  shows(t, other)
  const forged = await run([
    'explain',
    `${token.slice(0, -4)}AAAA`,
    '--issuer',
    issuer,
    '--audience',
    'https://other.example',
  ])
  t.equal(forged.code, 1)
  t.match(forged.stdout, /^refused +signature /m)
  t.match(forged.stdout, /^refused +aud /m)
  const nothing = await run(['explain', 'a.b', ...where])
  t.equal(nothing.code, 1)
  t.match(nothing.stdout, /^refused +form /)
})

t.test('explain: with credentials the server is asked, and says what was revoked', async (t) => {
  const before = await run(['explain', token, ...asApi.args], { env: asApi.env })
  t.equal(before.code, 0, before.stderr)
  t.match(before.stdout, /^ok +introspection .*"orders:read"/m)
  t.match(before.stdout, /It is accepted\.\n$/)
  await server.post('/revoke', { token }, { authorization: service.basic })
  const after = await run(['explain', token, ...asApi.args], { env: asApi.env })
  t.equal(after.code, 1)
  t.match(after.stdout, /^refused +introspection /m)
  t.notOk((after.stdout + after.stderr).includes(api.clientSecret))
  shows(t, after)
})

t.test('explain: an access token where a gateway stands before the API', async (t) => {
  const result = await run(['explain', token, ...asApi.args, '--tokens', 'gateway'], { env: asApi.env })
  t.match(result, { code: 1, stdout: /^refused +typ /m })
})

t.test('explain: wrong usage is 2, and so is a server that is not there', async (t) => {
  for (const args of [
    [],
    ['explain'],
    ['explain', 'x', '--issuer', issuer],
    ['other', ...where],
    ['explain', '--wrong'],
    ['explain', token, ...where, '--tokens', 'other'],
  ]) {
    t.equal((await run(args)).code, 2, args.join(' '))
  }
  t.equal((await run(['--help'])).code, 0)
  const away = await run(['explain', token, '--issuer', 'http://127.0.0.1:9', '--audience', audience])
  t.equal(away.code, 2)
  t.match(away.stderr, /cannot be reached/)
  shows(t, away)
})

t.test('explain: an API key, by what of it is public', async (t) => {
  const owner = { kind: 'client', id: service.clientId } as const
  const by = { actor: 'operator' }
  const make = async (request: object = {}) => {
    const asked = { owner, name: 'Test', scope: ['orders:read'], ...request }
    const { key, text = '' } = await createApiKey(server.ctx, asked, by)
    return { id: key.id, text }
  }
  const ask = async (text: string, withCredentials = true) => {
    const args = withCredentials ? asApi.args : where
    const result = await run(['explain', ...args], { input: text, env: withCredentials ? asApi.env : {} })
    t.notOk((result.stdout + result.stderr).includes(text.slice(24, 67)), 'attack 118: no secret is printed')
    return result
  }
  const { id, text } = await make()
  const good = await ask(text)
  t.equal(good.code, 0, good.stderr)
  t.match(good.stdout, new RegExp(`^ok +checksum .*${id}`, 'm'))
  t.match(good.stdout, /^ok +scope +orders:read$/m)
  t.match((await ask(text, false)).code, 3, 'only the server knows')
  const mistyped = await ask(`${text.slice(0, -1)}${text.endsWith('x') ? 'y' : 'x'}`)
  t.match(mistyped, { code: 1, stdout: /^refused +checksum / })
  const bound = await ask((await make({ networks: ['192.0.2.0/24'] })).text)
  t.match(bound, { code: 3, stdout: /^unknown +networks +good from 192\.0\.2\.0\/24 alone$/m })
  await rotateApiKey(server.ctx, id, { overlap: 60, by })
  t.match(await ask(text), { code: 0, stdout: /^ok +rotation /m })
  await endApiKey(server.ctx, id, { cause: { ...by, reason: 'test' } })
  t.match(await ask(text), { code: 1, stdout: /^refused +introspection /m })
})
