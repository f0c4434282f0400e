import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { Test } from 'tap'
import { makeFolder, waitFor } from './process.js'
import { freePort } from './running-server.js'

/** Where a program is: said by a variable, or on the path. */
function find(name: string, variable: string): { readonly path: string; readonly skip: string | false } {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const places = [process.env[variable], ...folders.map((folder) => join(folder, name))]
  const path = places.find((place) => place !== undefined && place !== '' && existsSync(place))
  if (path !== undefined) return { path, skip: false }
  return { path: '', skip: `no ${name} was found: set ${variable}, or put it on the PATH` }
}

export const traefik = find('traefik', 'TRAEFIK_PATH')
export const envoy = find('envoy', 'ENVOY_PATH')

type Start = (t: Test, server: number, api: number, credential: string) => Promise<number>

/** The configuration of docs/gateways, at other ports. */
async function configure(t: Test, name: string, ports: Readonly<Record<string, number>>): Promise<string> {
  const documented = await readFile(new URL(`../../docs/gateways/${name}`, import.meta.url), 'utf8')
  const path = join(await makeFolder(t), name)
  const text = documented.replaceAll(/(?<=127\.0\.0\.1:|port_value: )\d+/g, (port) => String(ports[port]))
  await writeFile(path, text, { mode: 0o600 })
  return path
}

/** Ends with the test. @returns when it answers for the API: by a refusal, since nothing is shown */
async function run(t: Test, program: string, args: readonly string[], credential: string, port: number) {
  const env = { PATH: process.env['PATH'], GATEWAY_CREDENTIAL: credential }
  const child: ChildProcess = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (said += chunk))
  const exited = new Promise((resolve) => child.once('close', resolve))
  t.teardown(async () => {
    child.kill()
    await exited
  })
  const answers = async () => {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${said}`)
    const reply = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)
    return reply !== undefined && reply.status !== 404
  }
  await waitFor(answers, 30, `${program} did not start`)
}

/** Traefik in front of an API, as docs/gateways/traefik.yaml says. */
export const startTraefik: Start = async (t, server, api, credential) => {
  const port = await freePort()
  const path = await configure(t, 'traefik.yaml', { 3000: server, 8080: api })
  const args = [
    ...[`--entryPoints.gateway.address=127.0.0.1:${port}`, `--providers.file.filename=${path}`, '--log.level=WARN'],
    // It calls nobody.
    ...['--global.checkNewVersion=false', '--global.sendAnonymousUsage=false'],
  ]
  await run(t, traefik.path, args, credential, port)
  return port
}

/** Envoy in front of an API, as docs/gateways/envoy.yaml says. */
export const startEnvoy: Start = async (t, server, api, credential) => {
  const port = await freePort()
  const path = await configure(t, 'envoy.yaml', { 3000: server, 8080: api, 8088: port })
  await run(t, envoy.path, ['-c', path, '--disable-hot-restart', '--concurrency', '1', '-l', 'warn'], credential, port)
  return port
}
