import type { ChildProcess } from 'node:child_process'
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
 * @returns its port
 */
export async function startNginx(t: Test, server: number, api: number, credential: string): Promise<number> {
  const port = await freePort()
  const folder = await makeFolder(t)
  const listen = `127.0.0.1:${port}`
  const child = await example.startNginx({
    folder,
    server: `localhost:${server}`,
    api: `127.0.0.1:${api}`,
    listen,
    credential,
  })
  let said = ''
  child.stderr?.on('data', (chunk) => (said += chunk))
  const exited = new Promise((resolve) => child.once('exit', resolve))
  t.teardown(async () => {
    child.kill()
    await exited
  })
  await waitFor(
    async () => {
      if (child.exitCode !== null) throw new Error(`nginx ended: ${said}`)
      return (await fetch(`http://${listen}/`).catch(() => undefined)) !== undefined
    },
    30,
    'nginx did not start',
  )
  return port
}
