// `npm run example -- NAME`: registers an example beside the server, as examples/README.md says, and starts it.

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { argv, env, execPath, exit } from 'node:process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))

/**
 * What examples/README.md says about one of them: `commands`, the arguments of `npm run -s ostiary --` in the order in which they
 * are to be run; `program`, the arguments of `node`; `env`, what it is started with, where `…` is what was printed before.
 *
 * @throws where it has no section with a command that starts it
 */
export function readExample(name) {
  const sections = readFileSync(join(root, 'examples/README.md'), 'utf8').split(/^## /m)
  const starts = `node examples/${name}/`
  const section = sections.find((text) => text.includes(starts))
  if (!section) throw new Error(`examples/README.md does not say how to start ${name}`)
  const lines = [...section.matchAll(/^```sh\n(.*?)^```$/gms)]
    .flatMap(([, block]) => block.replaceAll('\\\n', ' ').split('\n'))
    .filter((line) => line.trim() !== '')
  const words = lines.map((line) => [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare))
  const ostiary = ['npm', 'run', '-s', 'ostiary', '--']
  // Where there are several, the first that is given something: what was printed before.
  const all = words.filter((line) => line.join(' ').includes(starts))
  const start = all.find((line) => line[0] !== 'node') ?? all[0]
  const node = start.indexOf('node')
  return {
    commands: words.filter((line) => line.slice(0, 5).join() === ostiary.join()).map((line) => line.slice(5)),
    program: start.slice(node + 1),
    env: Object.fromEntries(start.slice(0, node).map((word) => word.split('='))),
  }
}

/**
 * A command beside the server.
 *
 * @param mayFail then nothing is returned where it refuses
 */
function ostiary(args, mayFail = false) {
  const options = { cwd: root, encoding: 'utf8' }
  const { status, stdout, stderr } = spawnSync(execPath, ['dist/main.js', ...args, '--json'], options)
  if (status === 0) return JSON.parse(stdout)
  if (mayFail) return undefined
  console.error(
    `${stderr}\`${args.join(' ')}\` failed. Examples are for a server that \`npm start -- --demo\` has started.`,
  )
  exit(1)
}

/** What is called on this machine must be allowed to the server before it starts. */
function withoutLogout(command) {
  const at = command.indexOf('--backchannel-logout-uri')
  if (at < 0) return command
  const { host } = new URL(command[at + 1])
  console.error(
    `Nobody tells this example that its user was signed out elsewhere. Write OUTBOUND_ALLOW=${host} into .env for that,`,
  )
  console.error(
    `and start the server and, after \`npm run -s ostiary -- client delete ${optionOf(command, '--id')}\`, this again.`,
  )
  return command.toSpliced(at, 2)
}

const optionOf = (command, option) => command[command.indexOf(option) + 1]

/** Of the API that the demo sets up. */
const demoApi = 'https://orders.example'

function newSecretOf(identifier) {
  const { client_id } = ostiary(['resource', 'show', identifier])
  return ostiary(['client', 'rotate-secret', client_id])
}

/** Registers it, or makes a new secret for what is registered already: the old one was shown once, and stays good for a day. */
const registrations = {
  client(command) {
    const id = optionOf(command, '--id')
    const known = ostiary(['client', 'show', id], true)
    if (!known) return ostiary(command, true) ?? ostiary(withoutLogout(command))
    return known.token_endpoint_auth_method === 'none' ? known : ostiary(['client', 'rotate-secret', id])
  },
  resource(command) {
    const identifier = optionOf(command, '--identifier')
    return ostiary(['resource', 'show', identifier], true) ? newSecretOf(identifier) : ostiary(command)
  },
  gateway(command) {
    const [, , name] = command
    const isKnown = ostiary(['gateway', 'show', name], true)
    return isKnown ? ostiary(['gateway', 'rotate-secret', name]) : ostiary(command)
  },
  'api-key'(command) {
    const name = optionOf(command, '--name')
    const before = ostiary(['api-key', 'list', '--owner', optionOf(command, '--owner')])
    for (const { id } of before.filter((key) => key.name === name)) ostiary(['api-key', 'revoke', id])
    return ostiary(command)
  },
}

/** A key pair of this run alone. @returns the files of both halves */
function makeKeyPair(program) {
  const folder = mkdtempSync(join(tmpdir(), 'ostiary-example-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const files = { private: join(folder, 'signing-key.jwk'), public: join(folder, 'public-key.jwk') }
  const { stdout } = spawnSync(execPath, program, { cwd: root, env: { ...env, KEY_FILE: files.private } })
  writeFileSync(files.public, stdout)
  return files
}

/** What the example is started with, in place of each `…`. */
function credentialsFor({ commands, program, env: documented }) {
  const wanted = Object.keys(documented).filter((name) => documented[name] === '…')
  const create = commands.find(([noun, verb]) => verb === 'create' && noun in registrations)
  const pair = create?.includes('--public-key') && makeKeyPair(program)
  const adapted = create?.map((word) => (word === 'public-key.jwk' ? pair.public : word))
  const isOfDemo = (name) => !create || name.startsWith('API_CLIENT_')
  const api = wanted.some(isOfDemo) ? newSecretOf(demoApi) : undefined
  const own = create ? registrations[create[0]](adapted) : api
  const credential = (name) => {
    if (name === 'API_KEY') return own.key
    if (name === 'KEY_ID') return own.id
    const { client_id, client_secret } = isOfDemo(name) ? api : own
    return name.endsWith('_ID') ? client_id : client_secret
  }
  const given = Object.fromEntries(wanted.map((name) => [name, credential(name)]))
  return { ...documented, ...given, ...(pair && { KEY_FILE: pair.private }) }
}

function start(name) {
  const example = readExample(name)
  const credentials = credentialsFor(example)
  const child = spawn(execPath, example.program, { cwd: root, env: { ...env, ...credentials }, stdio: 'inherit' })
  // Ctrl+C reaches the example by itself.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code) => exit(code ?? 1))
}

const isMain = argv[1] === fileURLToPath(import.meta.url)
if (isMain) {
  const [name] = argv.slice(2)
  const names = readdirSync(join(root, 'examples'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
  if (names.includes(name)) start(name)
  else {
    console.error(`npm run example -- NAME, beside \`npm start -- --demo\`. There are: ${names.join(', ')}.`)
    exit(2)
  }
}
