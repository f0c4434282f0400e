import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, RESP_TYPES } from '@redis/client'
import type { Test } from 'tap'
import { freePort } from './running-server.js'

const program = ['valkey-server', 'redis-server'].find((name) => spawnSync(name, ['--version']).status === 0)

/** For a test's options: tests install nothing by themselves. */
export const skip = program === undefined ? 'neither valkey-server nor redis-server is installed' : false

/** A server of the test's own, which keeps nothing on the disk. */
export async function startRedis(t: Test) {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'ostiary-redis-'))
  let child: ReturnType<typeof spawn> | undefined
  const up = async (): Promise<void> => {
    child = spawn(program ?? '', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    for await (const chunk of child.stdout!) if (/eady to accept connections/.test(String(chunk))) break
    child.stdout!.resume()
  }
  const down = async (): Promise<void> => {
    const ended = new Promise((resolve) => child?.once('exit', resolve))
    child?.kill('SIGKILL')
    await ended
  }
  await up()
  t.teardown(async () => {
    await down()
    rmSync(folder, { recursive: true, force: true })
  })
  return { url: `redis://127.0.0.1:${port}`, up, down }
}

/** Everything in it as text: names, values as they are and in hexadecimal. */
export async function dumpRedis(url: string): Promise<string> {
  const client = createClient({ url, RESP: 2 })
  await client.connect()
  try {
    const lines: string[] = []
    for (const key of await client.keys('*')) {
      const raw = await client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).dump(key)
      lines.push(key, Buffer.from(raw).toString('latin1'), Buffer.from(raw).toString('hex'))
    }
    return lines.join('\n')
  } finally {
    await client.close()
  }
}
