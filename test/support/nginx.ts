import { type ChildProcess, spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { makeFolder, waitFor } from './process.js'
import { freePort } from './running-server.js'

/** What an example starts nginx by, with the configuration of docs/gateways. */
interface NginxExample {
  readonly nginx: string | undefined
  readonly startNginx: (
    options: Readonly<Record<'folder' | 'server' | 'api' | 'listen' | 'credential', string>>,
  ) => Promise<ChildProcess>
}

// By its address: it is JavaScript, and has no types.
const example: NginxExample = await import(new URL('../../examples/api-behind-nginx/nginx.mjs', import.meta.url).href)

/** For tests that need it: `false` where it is there. */
export const skip = example.nginx === undefined ? 'no nginx was found: install it' : false

/**
 * nginx in front of an API, as docs/gateways/nginx.conf says.
 *
 * @param server port of the server
 * @param api port of what is behind it
 * @param credential of the gateway `orders`
 * @param more how it listens, and further directives: what would stand behind its address
 * @returns its port
 */
export async function startNginx(t: Test, server: number, api: number, credential: string, more = ''): Promise<number> {
  const port = await freePort()
  const folder = await makeFolder(t)
  const listen = `127.0.0.1:${port}`
  const child = await example.startNginx({
    folder,
    server: `localhost:${server}`,
    api: `127.0.0.1:${api}`,
    listen: `${listen}${more}`,
    credential,
  })
  await run(t, child, listen)
  return port
}

/** Where the proxy of `startFront` asks from: what TRUST_PROXY has to name. */
export const frontAddress = '127.0.0.2'

/**
 * nginx before the server, as README.md has it for TLS.
 *
 * @param server port of the server
 * @param forwarded what it writes into X-Forwarded-For
 * @returns its port
 */
export async function startFront(t: Test, server: number, forwarded: string): Promise<number> {
  const port = await freePort()
  const folder = await makeFolder(t)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`)
  const configuration = `daemon off; master_process off; pid nginx.pid; error_log stderr; events {}
    http {
      access_log off; ${temporary.join(' ')}
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://127.0.0.1:${server};
          proxy_bind ${frontAddress};
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_set_header Host $host;
          proxy_set_header X-Forwarded-For ${forwarded};
        }
      }
    }`
  const path = join(folder, 'nginx.conf')
  await writeFile(path, configuration)
  const args = ['-p', folder, '-c', path, '-e', 'stderr']
  await run(t, spawn(example.nginx ?? '', args, { stdio: ['ignore', 'ignore', 'pipe'] }), `127.0.0.1:${port}`)
  return port
}

/** Ends with the test. @returns when it answers */
async function run(t: Test, child: ChildProcess, listen: string): Promise<void> {
  let said = ''
  child.stderr?.on('data', (chunk) => (said += chunk))
  const exited = new Promise((resolve) => child.once('exit', resolve))
  t.teardown(async () => {
    child.kill()
    await exited
  })
  const answers = async () => {
    if (child.exitCode !== null) throw new Error(`nginx ended: ${said}`)
    return (await fetch(`http://${listen}/`).catch(() => undefined)) !== undefined
  }
  await waitFor(answers, 30, 'nginx did not start')
}
