import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { makeFolder, startProcess, waitFor, waitUntilReady } from '../support/process.js'
import { freePort } from '../support/running-server.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const readme = readFileSync(`${root}README.md`, 'utf8')
const walk = readme.slice(readme.indexOf('<!-- walk -->'), readme.indexOf('<!-- /walk -->'))

interface Step {
  readonly command: string
  /** `…` stands for more. */
  readonly output: string
}

const steps: readonly Step[] = [...walk.matchAll(/^```console\n(.*?)^```$/gms)].flatMap(([, block = '']) =>
  [...block.matchAll(/^\$ (.*)\n((?:(?!\$ ).*\n)*)/gm)].map(([, command = '', output = '']) => ({ command, output })),
)

/** What differs from run to run is times. */
function patternOf(output: string): RegExp {
  // Columns are as wide as what stands in them.
  const exact = output.replace(/ +/g, ' ').replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const times: readonly (readonly [RegExp, string])[] = [
    [/…/g, '.*'],
    [/@\d{10}/g, '@\\d{10}'],
    [/\d{4}-\d\d-\d\d [\d:]{8}Z/g, '\\d{4}-\\d\\d-\\d\\d [\\d:]{8}Z'],
    // By which of its addresses this machine is called.
    [/127\\\.0\\\.0\\\.0\/24/g, '(?:127\\.0\\.0\\.0/24|::/64)'],
    [/\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT/g, '\\w{3}, \\d\\d \\w{3} \\d{4} [\\d:]{8} GMT'],
    // Everywhere within the second.
    [/\d+ ms later/g, '\\d{1,3} ms later'],
    [/("age":|;t=|retry-after: )[\d\\.]+/g, '$1[\\d.]+'],
  ]
  return new RegExp(`^${times.reduce((text, [what, by]) => text.replace(what, by), exact)}$`)
}

/** Ends what a shell has started with it. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

t.test('what README.md shows from the first request to the last is what happens', async (t) => {
  t.ok(steps.length > 15, 'the commands are found')
  const [folder, port, apiPort] = [await makeFolder(t), await freePort(), await freePort()]
  const address = `http://localhost:${port}`
  await writeFile(join(folder, '.env'), `PORT=${port}\n`)
  const server = startProcess(t, { cwd: folder, args: ['start', '--demo'] })
  await waitUntilReady(address, server)
  await waitFor(() => server.stdout().includes('/demo\n'), 10, 'nothing was shown')
  const [, secret = ''] = /curl -u 'demo-service:([^']+)'/.exec(server.stdout()) ?? []
  const [, apiId = '', apiSecret = ''] = /CLIENT_ID=(\S+) CLIENT_SECRET=(\S+)/.exec(server.stdout()) ?? []

  const mark = '@@@'
  const script = [
    `ostiary() { (cd ${folder} && node ${root}dist/main.js "$@"); }`,
    ...steps.map(({ command }) => `echo '${mark}'\n${command}`),
    `echo '${mark}'`,
  ].join('\n')
  const child = spawn('bash', ['-s'], {
    cwd: root,
    env: {
      PATH: process.env['PATH'],
      TMPDIR: folder,
      ISSUER: address,
      PORT: String(apiPort),
      API_PORT: String(apiPort),
      SECRET: secret,
      API_ID: apiId,
      API_SECRET: apiSecret,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  })
  t.teardown(() => killGroup(child.pid))
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  child.stdin.end(script.replaceAll('localhost:3000', `localhost:${port}`).replaceAll(':8081', `:${apiPort}`))
  await new Promise((resolve) => child.once('exit', resolve))
  const outputs = stdout.replaceAll('\r', '').split(`${mark}\n`).slice(1)
  for (const [index, { command, output }] of steps.entries()) {
    const pattern = patternOf(output.trimEnd())
    t.match(outputs[index]?.replace(/ +$/gm, '').replace(/ +/g, ' ').trimEnd(), pattern, command)
  }
  if (!t.passing()) t.comment(stdout, stderr)
})
