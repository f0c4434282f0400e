import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { readExample } from '../../scripts/example.mjs'
import { setUpDemo } from '../../src/demo/index.js'
import { systemClock } from '../../src/platform/clock.js'
import { TestClock } from './clock.js'
import { createCommandLine, testMasterKey } from './command.js'
import { scheme, tls } from './own-tls.js'
import { waitFor } from './process.js'
import { createRunningServer, freePort } from './running-server.js'
import type { TestServer, TestServerOptions } from './server.js'

const root = fileURLToPath(new URL('../../', import.meta.url))

export { readExample }

export interface RunningExample {
  readonly origin: string
  /** What it calls. */
  readonly api: string
  /** Moves its clock, which `Date.now()` reads. */
  readonly advance: (seconds: number) => Promise<void>
  /** Everything that it printed. */
  readonly output: () => string
  /** Its exit code. */
  readonly exited: Promise<number | null>
  /** Waits until something answers at this address. @throws where the example has ended */
  readonly untilItAnswers: (address: string) => Promise<void>
}

export interface ExampleServer extends TestServer {
  readonly user: { readonly email: string; readonly password: string }
  readonly demoApi: { readonly clientId: string; readonly clientSecret: string }
  /** Where those examples listen that the server calls, by name: it is told before it starts. */
  readonly ports: Readonly<Record<string, number>>
  /** Runs a command of the README beside the server. */
  readonly ostiary: (args: readonly string[]) => Promise<string>
}

/** The time of the machine, which the examples, their API and the commands beside the server go by. */
class MachineClock extends TestClock {
  override now(): Date {
    return systemClock.now()
  }

  override until(time: Date): Promise<void> {
    return systemClock.until(time)
  }
}

/** A server as `npm start -- --demo` sets it up. */
export async function createDemoServer(
  t: Test,
  { env: more = {}, ...options }: TestServerOptions = {},
): Promise<ExampleServer> {
  const ports = { 'web-app': await freePort(), 'backend-for-frontend': await freePort() }
  const env = {
    OUTBOUND_ALLOW: Object.values(ports)
      .map((port) => `localhost:${port}`)
      .join(' '),
    ...scheme,
    ...more,
  }
  const server = await createRunningServer(t, { demo: true, clock: new MachineClock(), ...options, env })
  const accounts = (await setUpDemo(server.ctx))!
  await server.refresh()
  const { issuer } = server.ctx.config.server
  const { run } = createCommandLine(t, { url: server.databaseUrl }, { PORT: new URL(issuer).port, ...env })
  return {
    ...server,
    ports,
    user: accounts.user,
    demoApi: accounts.api,
    async ostiary(args) {
      const { status, stdout, stderr } = await run(args)
      if (status !== 0) throw new Error(`ostiary ${args.join(' ')}: ${stderr}`)
      await server.refresh()
      return stdout
    },
  }
}

/** The API of the demo, in a process of its own with its credentials: it hears of revocations. */
export async function startApi(t: Test, server: ExampleServer): Promise<{ readonly port: number }> {
  const port = await freePort()
  const { clientId, clientSecret } = server.demoApi
  const api = await start(t, readExample('api-fastify').program, {
    ISSUER: server.ctx.config.server.issuer,
    PORT: String(port),
    CLIENT_ID: clientId,
    CLIENT_SECRET: clientSecret,
  })
  await api.untilItAnswers(`http://localhost:${port}/health`)
  return { port }
}

/**
 * Registers an example and starts it, both as its README says. Only the ports are others: nothing else that runs on this
 * machine is in the way.
 *
 * @param apiPort where its API listens already; without, it starts one
 */
export async function startExample(
  t: Test,
  server: ExampleServer,
  name: string,
  apiPort?: number,
): Promise<RunningExample> {
  const { commands, program, env } = readExample(name)
  const [port, api] = [server.ports[name] ?? (await freePort()), apiPort ?? (await freePort())]
  const documentedPort = /localhost:(\d+)\/(?:callback|mcp)/.exec(commands.flat().join(' '))?.[1]
  let secret = ''
  let id = ''
  for (const command of commands.filter(([noun, verb]) => /create|update/.test(`${noun} ${verb}`))) {
    const adapted = command.map((word) =>
      documentedPort ? word.replace(`localhost:${documentedPort}`, `localhost:${port}`) : word,
    )
    const printed = await server.ostiary(adapted)
    secret = /^ *client_secret +(\S+)$/m.exec(printed)?.[1] ?? secret
    id = /^ *client_id +(\S+)$/m.exec(printed)?.[1] ?? id
  }
  const printed = (key: string): string => (key.endsWith('_ID') ? id : secret)
  const given = Object.fromEntries(
    Object.entries(env).map(([key, value]) => [key, value === '…' ? printed(key) : value]),
  )
  const example = await start(t, program, {
    ISSUER: server.ctx.config.server.issuer,
    NODE_EXTRA_CA_CERTS: tls.TLS_CERT_FILE,
    PORT: String(port),
    API_PORT: String(api),
    ...given,
  })
  const origin = `http://localhost:${port}`
  await example.untilItAnswers(origin)
  return { origin, api: `http://localhost:${api}`, ...example }
}

// In the main thread alone: an API in a thread of the example keeps the time.
const movableClock = `
  import { isMainThread } from 'node:worker_threads'
  let ahead = 0
  const now = Date.now
  if (isMainThread) {
    Date.now = () => now() + ahead
    process.on('message', (seconds) => { ahead += seconds * 1000; process.send('moved') })
    process.channel.unref()
  }`

async function start(t: Test, program: readonly string[], env: Readonly<Record<string, string>>) {
  const clock = `data:text/javascript,${encodeURIComponent(movableClock)}`
  const child = spawn(process.execPath, ['--import', clock, ...program], {
    cwd: root,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output += chunk
    })
  }
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  t.teardown(async () => {
    child.kill()
    await exited
    if (!t.passing()) t.comment(output)
  })
  return {
    output: () => output,
    exited,
    // The bound is for a machine that is very busy.
    untilItAnswers: (address: string) =>
      waitFor(
        async () => {
          if (child.exitCode !== null) throw new Error(`it has ended: ${output}`)
          const answer = await fetch(address).catch(() => undefined)
          await answer?.body?.cancel()
          return answer !== undefined
        },
        60,
        `nothing answers at ${address}`,
      ),
    async advance(seconds: number) {
      const moved = new Promise((resolve) => child.once('message', resolve))
      child.send(seconds)
      await moved
    },
  }
}

/** Registers an example and starts it by the one command. */
export async function startByName(t: Test, server: ExampleServer, name: string) {
  const port = server.ports[name] ?? (await freePort())
  const example = await start(t, ['scripts/example.mjs', name], {
    DATABASE_URL: server.databaseUrl,
    MASTER_KEY: testMasterKey,
    ISSUER: server.ctx.config.server.issuer,
    PORT: String(port),
    API_PORT: String(await freePort()),
    NODE_EXTRA_CA_CERTS: tls.TLS_CERT_FILE,
  })
  return { origin: `http://localhost:${port}`, ...example }
}

/**
 * Runs an example that ends by itself, as its README says; its API listens at a port that is free.
 *
 * @param given over what the README has
 */
export async function runExample(
  t: Test,
  server: ExampleServer,
  name: string,
  given: Readonly<Record<string, string>>,
): Promise<{ readonly status: number | null; readonly stdout: string; readonly stderr: string }> {
  const { clientId, clientSecret } = server.demoApi
  const { program, env } = readExample(name)
  const child = spawn(process.execPath, program, {
    cwd: root,
    env: {
      PATH: process.env['PATH'],
      ISSUER: server.ctx.config.server.issuer,
      API_PORT: String(await freePort()),
      ...env,
      ...('API_CLIENT_ID' in env ? { API_CLIENT_ID: clientId, API_CLIENT_SECRET: clientSecret } : {}),
      ...given,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) child[name].on('data', (chunk) => (said[name] += chunk))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  t.teardown(async () => {
    child.kill()
    await ended
    if (!t.passing()) t.comment(said.stdout + said.stderr)
  })
  return { status: await ended, ...said }
}

/** A browser's requests to one origin, with its cookies; nothing is followed. */
export class Visitor {
  readonly cookies = new Map<string, string>()
  /** As they were set, with their attributes. */
  readonly setCookies: string[] = []
  readonly #origin: string

  constructor(origin: string) {
    this.#origin = origin
  }

  async request(
    path: string,
    { headers, ...init }: Omit<RequestInit, 'headers'> & { readonly headers?: Readonly<Record<string, string>> } = {},
  ): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(new URL(path, this.#origin), {
      redirect: 'manual',
      ...init,
      headers: { ...(cookie ? { cookie } : {}), ...headers },
    })
    for (const line of response.headers.getSetCookie()) {
      this.setCookies.push(line)
      const [pair = ''] = line.split(';')
      this.cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
    }
    return response
  }
}
