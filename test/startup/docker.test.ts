import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { describeVariables, loadConfig } from '../../src/platform/config/index.js'

// Without an engine nothing is built here. What can be checked without one is: that the files name things that exist, that
// the server takes the settings they give it, that nothing runs as root, and that the health checks tell good from bad.

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

type Yaml = string | null | readonly Yaml[] | { readonly [key: string]: Yaml }
type Mapping = { readonly [key: string]: Yaml }

interface Line {
  readonly indent: number
  readonly text: string
}

/** The part of YAML that our file uses: mappings, lists of scalars, and JSON lists. Anything else is an error. */
function parseYaml(text: string): Mapping {
  const lines = text
    .split('\n')
    .filter((line) => !/^\s*(?:#|$)/.test(line))
    .map((line) => ({ indent: line.search(/\S/), text: line.trim() }))
  let next = 0

  function block(indent: number): Yaml {
    const isList = lines[next]?.text.startsWith('- ')
    const items: Yaml[] = []
    const entries: [string, Yaml][] = []
    for (let line = lines[next]; line && line.indent === indent; line = lines[next]) {
      next++
      if (isList) items.push(scalar(line.text.slice(2)))
      else entries.push(entry(line))
    }
    if ((lines[next]?.indent ?? 0) > indent) throw new Error(`not understood: ${lines[next]?.text}`)
    return isList ? items : Object.fromEntries(entries)
  }

  function entry({ indent, text }: Line): [string, Yaml] {
    const [, key, value] = /^([\w-]+):(?: (.*))?$/.exec(text) ?? []
    if (key === undefined) throw new Error(`not understood: ${text}`)
    if (value !== undefined) return [key, scalar(value)]
    const inner = lines[next]?.indent ?? 0
    return [key, inner > indent ? block(inner) : null]
  }

  const parsed = block(0)
  if (!isMapping(parsed)) throw new Error('no mapping')
  return parsed
}

function scalar(text: string): Yaml {
  return text.startsWith('[') || text.startsWith('"') ? JSON.parse(text) : text
}

function isMapping(value: Yaml | undefined): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function mapping(value: Yaml | undefined): Mapping {
  if (!isMapping(value)) throw new Error('no mapping')
  return value
}

function list(value: Yaml | undefined): readonly string[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw new Error('no list of texts')
  return value
}

const compose = parseYaml(read('docker-compose.yml'))
const services = mapping(compose.services)
const server = mapping(services.server)
const environment = mapping(server.environment)

/** The instructions of the Dockerfile, with lines that go on joined. */
const instructions: readonly { readonly name: string; readonly rest: string }[] = read('Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n\s*/g, ' ')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => ({ name: line.split(' ')[0] ?? '', rest: line.slice(line.indexOf(' ') + 1) }))

/** Those of the stage that becomes the image. */
const last = instructions.slice(instructions.findLastIndex(({ name }) => name === 'FROM'))

const known = new Set(
  describeVariables().flatMap(({ name, fileVariable }) => (fileVariable ? [name, fileVariable] : [name])),
)

/** Node.js with the flags of `npm start`. */
const startedBy: readonly string[] = JSON.parse(read('package.json')).scripts.start.split(' dist/main.js')[0].split(' ')

t.test('docker-compose.yml: every setting of the server exists', async (t) => {
  t.same(
    Object.keys(environment).filter((name) => !known.has(name)),
    [],
  )
})

t.test('docker-compose.yml: secrets come by file, and no other way', async (t) => {
  const secretNames = describeVariables().flatMap(({ name, secret }) => (secret ? [name] : []))
  t.same(
    Object.keys(environment).filter((name) => secretNames.includes(name)),
    [],
  )
  // The master key of before is there during a rotation alone, and few have receivers, a Redis or mail: everybody would have to make a file.
  const optional = ['MASTER_KEY_PREVIOUS', 'REVOCATION_RECEIVER_TOKENS', 'REDIS_URL', 'SMTP_URL']
  for (const name of secretNames.filter((each) => !optional.includes(each))) t.ok(environment[`${name}_FILE`], name)

  const declared = mapping(compose.secrets)
  const used = new Set<string>()
  for (const [name, service] of Object.entries(services)) {
    const { secrets, environment: variables } = mapping(service)
    for (const secret of list(secrets)) {
      t.ok(Object.hasOwn(declared, secret), `${name}: ${secret} is declared`)
      used.add(secret)
    }
    for (const [variable, value] of Object.entries(mapping(variables))) {
      if (!variable.endsWith('_FILE')) t.notMatch(variable, /PASSWORD|SECRET|KEY|_URL$/, `${name}: ${variable}`)
      else t.ok(list(secrets).includes(String(value).replace('/run/secrets/', '')), `${name}: ${variable}`)
    }
  }
  t.same(Object.keys(declared).sort(), [...used].sort())
  for (const secret of Object.values(declared)) {
    t.match(mapping(secret).file, /^\.\/secrets\/\w+$/, 'they lie in one folder')
  }
  t.ok(read('.gitignore').split('\n').includes('/secrets/'), 'which is never committed')
})

t.test('docker-compose.yml: the server starts with what it is given', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ostiary-compose-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const files = {
    DATABASE_URL_FILE: [join(folder, 'database_url'), 'postgresql://ostiary:0123abcd@postgres:5432/ostiary\n'],
    MASTER_KEY_FILE: [join(folder, 'master_key'), `${Buffer.alloc(32, 5).toString('base64')}\n`],
  } as const
  for (const [path, content] of Object.values(files)) writeFileSync(path, content)
  const start = (given: Readonly<Record<string, string>>) => {
    const composed = Object.entries(environment).map(([name, value]) => [
      name,
      String(value).replace(/^\$\{(\w+):-(.*)\}$/, (_, variable, fallback) => given[variable] ?? fallback),
    ])
    const env = { ...imageEnvironment(), ...Object.fromEntries(composed) }
    return loadConfig({
      env: { ...env, DATABASE_URL_FILE: files.DATABASE_URL_FILE[0], MASTER_KEY_FILE: files.MASTER_KEY_FILE[0] },
    })
  }

  const tried = start({}).config
  t.match(tried.server, { host: '0.0.0.0', port: 3000, issuer: 'http://localhost:3000' })
  t.equal(tried.secrets.masterKey?.length, 32)
  const behindProxy = start({ ISSUER: 'https://auth.example.com', TRUST_PROXY: 'uniquelocal', PROCESSES: '2' })
  t.match(behindProxy.config.server, { issuer: 'https://auth.example.com', trustProxy: ['uniquelocal'], processes: 2 })
  t.same(behindProxy.warnings, [], 'as the file says, with a proxy in front')
})

t.test('docker-compose.yml: nothing runs as root or can become it, and nothing writes where it need not', async (t) => {
  for (const [name, service] of Object.entries(services)) {
    const settings = mapping(service)
    t.notMatch(settings.user ?? 'root', /^(?:root|0)(?::|$)/, name)
    t.equal(settings.read_only, 'true', name)
    t.same(settings.cap_drop, ['ALL'], name)
    t.notOk('cap_add' in settings || 'privileged' in settings, name)
    t.same(settings.security_opt, ['no-new-privileges:true'], name)
    t.ok(list(settings.tmpfs).length > 0, name)
    t.equal(settings.restart, 'unless-stopped', name)
  }
})

t.test('docker-compose.yml: the database is out of reach, and the server on loopback alone', async (t) => {
  const postgres = mapping(services.postgres)
  t.notOk('ports' in postgres)
  t.same(postgres.networks, ['database'])
  t.equal(mapping(mapping(compose.networks).database).internal, 'true')
  for (const port of list(server.ports)) t.match(port, /^127\.0\.0\.1:\d+:3000$/)
  const [volume] = list(postgres.volumes)
  t.ok(Object.hasOwn(mapping(compose.volumes), volume?.split(':')[0] ?? ''), 'its data lies in a named volume')
})

t.test('docker-compose.yml: the server waits for a healthy database, and has time to finish', async (t) => {
  t.same(server.depends_on, { postgres: { condition: 'service_healthy' } })
  for (const [name, service] of Object.entries(services)) {
    t.equal(list(mapping(mapping(service).healthcheck).test)[0], 'CMD', `${name}: without a shell`)
  }
  t.ok(Number.parseInt(String(server.stop_grace_period), 10) > 10, 'more than the 10 s in which it closes')
})

t.test('docker-compose.yml: the image is that of this release', async (t) => {
  t.equal(server.image, `ostiary:${JSON.parse(read('package.json')).version}`)
})

t.test('README.md: how the secrets come about is as the file says', async (t) => {
  const commands = [...read('docker-compose.yml').matchAll(/^#\s{3}(\S.*secrets.*)$/gm)].map(
    ([, command = '']) => command,
  )
  t.equal(commands.length, 4)
  for (const command of commands) t.ok(read('README.md').includes(`\n${command}\n`), command)
})

t.test('Dockerfile: what is copied exists, and is let through by .dockerignore', async (t) => {
  const rules = read('.dockerignore').split('\n')
  t.equal(
    rules.find((rule) => rule !== '' && !rule.startsWith('#')),
    '*',
    'nothing else is let through',
  )
  for (const { name, rest } of instructions) {
    t.not(name, 'ADD', 'which would unpack and download')
    if (name !== 'COPY' || rest.startsWith('--from=')) continue
    for (const path of rest.split(' ').slice(0, -1)) {
      t.ok(existsSync(join(root, path)), path)
      const folders = path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'))
      t.ok(
        [path, ...folders].some((each) => rules.includes(`!${each}`) || rules.includes(`!${each}/`)),
        `${path} is let through`,
      )
    }
  }
  for (const path of ['.env', '.data', 'secrets', 'node_modules', '.git', 'test']) {
    t.notOk(
      rules.some((rule) => rule.startsWith(`!${path}`)),
      `${path} is not`,
    )
  }
})

t.test('Dockerfile: the server runs under a number that is not 0, without a shell', async (t) => {
  const users = last.filter(({ name }) => name === 'USER').map(({ rest }) => rest)
  t.match(users, [/^[1-9]\d*:[1-9]\d*$/], 'a number, so that an orchestrator can tell that it is not root')
  t.ok(
    last.findIndex(({ name }) => name === 'USER') > last.findLastIndex(({ name }) => name === 'RUN' || name === 'COPY'),
    'and what it runs is not its own',
  )
  for (const { name, rest } of instructions) {
    if (['RUN', 'CMD', 'ENTRYPOINT'].includes(name)) t.ok(Array.isArray(JSON.parse(rest)), `${name} ${rest}`)
  }
  t.match(last, [{ name: 'FROM' }, { name: 'ENV' }])
  t.match(
    last.filter(({ name }) => name === 'ENTRYPOINT' || name === 'CMD').map(({ rest }) => JSON.parse(rest)),
    [[...startedBy, '/app/dist/main.js'], ['start']],
  )
  t.notMatch(read('Dockerfile'), /\b(?:curl|wget|apt-get|apk)\b/)
})

t.test('Dockerfile: what it sets exists, and its Node.js is one that we support', async (t) => {
  for (const name of Object.keys(imageEnvironment())) t.ok(name === 'NODE_ENV' || known.has(name), name)
  const [, version] = /^ARG NODE_VERSION=(\d+)$/m.exec(read('Dockerfile')) ?? []
  const [, least] = /^>=(\d+)/.exec(JSON.parse(read('package.json')).engines.node) ?? []
  t.ok(Number(version) >= Number(least))
  for (const { name, rest } of instructions)
    if (name === 'FROM') t.match(rest, /^node:\$\{NODE_VERSION\}-slim(?: AS \w+)?$/)
})

function imageEnvironment(): Readonly<Record<string, string>> {
  const { rest = '' } = last.find(({ name }) => name === 'ENV') ?? {}
  return Object.fromEntries(rest.split(/\s+/).map((pair) => pair.split('=') as [string, string]))
}

t.test('the health checks tell a server that answers from one that does not', async (t) => {
  const [, inImage = '[]'] = /CMD (\[.*\])/.exec(last.find(({ name }) => name === 'HEALTHCHECK')?.rest ?? '') ?? []
  const checks: Readonly<Record<string, (port: number) => readonly string[]>> = {
    '/healthz': () => list(JSON.parse(inImage)),
    '/readyz': (port) =>
      list(mapping(server.healthcheck).test)
        .slice(1)
        .map((part) => part.replace(':3000', `:${port}`)),
  }
  for (const [path, commandFor] of Object.entries(checks)) {
    for (const status of [200, 503]) {
      const asked: (string | undefined)[] = []
      const { port, close } = await answering(t, status, asked)
      t.equal(await exitStatusOf(commandFor(port), port), status === 200 ? 0 : 1, `${path} answers ${status}`)
      t.same(asked, [path])
      await close()
      t.equal(await exitStatusOf(commandFor(port), port), 1, `nothing answers at ${path}`)
    }
  }
})

async function answering(t: Test, status: number, asked: (string | undefined)[]) {
  const http = createServer((request, response) => {
    asked.push(request.url)
    response.writeHead(status, { connection: 'close' }).end()
  })
  const close = () => new Promise<void>((resolve) => http.close(() => resolve()))
  t.teardown(close)
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const address = http.address()
  if (address === null || typeof address === 'string') throw new Error('not listening')
  return { port: address.port, close }
}

/** Runs a command of node as the engine would, with no shell between. */
function exitStatusOf([command, ...args]: readonly string[], port: number): Promise<number | null> {
  if (command !== 'node') throw new Error(`not node: ${command}`)
  const child = spawn(process.execPath, args, { env: { PORT: String(port) }, stdio: 'ignore' })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
}
