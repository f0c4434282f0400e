import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, RESP_TYPES } from '@redis/client'
import type { Test } from 'tap'
import { freePort } from './running-server.js'

const program = ['valkey-server', 'redis-server'].find((name) => spawnSync(name, ['--version']).status === 0)

/** Why a test that needs one is left out; false where it is not. */
export const withoutRedis = program === undefined ? 'neither valkey-server nor redis-server is installed' : false

export interface RedisServer {
  readonly url: string
  readonly up: () => Promise<void>
  /** `kill -9`. What it held is gone. */
  readonly down: () => Promise<void>
}

/** A server of the test's own, which keeps nothing on the disk. */
export async function startRedis(t: Pick<Test, 'teardown'>): Promise<RedisServer> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'ostiary-redis-'))
  let child: ChildProcess | undefined
  const up = async (): Promise<void> => {
    child = spawn(program ?? '', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    for await (const chunk of child.stdout!) if (/eady to accept connections/.test(String(chunk))) break
    child.stdout!.resume()
  }
  const down = async (): Promise<void> => {
    const running = child
    if (!running || running.exitCode !== null || running.signalCode !== null) return
    const ended = new Promise((resolve) => running.once('exit', resolve))
    running.kill('SIGKILL')
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
