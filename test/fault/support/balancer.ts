import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'
import { inOrder } from '../../support/database-proxy.js'
import type { Chance } from './chance.js'

/** Stands before the server processes as a load balancer does, and fails as networks do. */
export interface Balancer {
  readonly url: string
  /** Where new connections go, in turn; past those that take none. */
  readonly leadTo: (ports: readonly number[]) => void
  /** Breaks each connection with this probability. @returns how many */
  readonly drop: (probability: number, chance: Chance) => number
  /** All connections break, and no new one is made. */
  readonly down: () => void
  readonly up: () => void
  /** Each connection that stands carries nothing more with this probability, and nobody is told. @returns how many */
  readonly silence: (probability: number, chance: Chance) => number
  /** Everything that comes from a server arrives so many milliseconds later, on new connections too. */
  readonly delayAnswers: (milliseconds: number) => void
}

export async function createBalancer(t: Test): Promise<Balancer> {
  const pairs = new Set<readonly [near: Socket, far: Socket]>()
  let ports: readonly number[] = []
  let turn = 0
  let isDown = false
  let delay = 0
  const silent = new WeakSet<Socket>()

  const server = createServer((near) => {
    near.on('error', () => near.destroy())
    if (isDown) near.destroy()
    else void forward(near)
  })

  async function forward(near: Socket): Promise<void> {
    const first = turn++
    for (let attempt = 0; attempt < ports.length; attempt++) {
      const far = await open(ports[(first + attempt) % ports.length]!)
      if (!far) continue
      const pair = [near, far] as const
      const close = (): void => {
        pairs.delete(pair)
        near.destroy()
        far.destroy()
      }
      if (isDown || near.destroyed) return close()
      pairs.add(pair)
      for (const socket of pair) socket.setNoDelay(true).on('error', close).on('close', close)
      const passOn = inOrder()
      near.on('data', (chunk) => {
        if (!silent.has(near)) far.write(chunk)
      })
      far.on('data', (chunk) => {
        passOn(delay, () => {
          if (!silent.has(near) && !near.destroyed) near.write(chunk)
        })
      })
      return
    }
    near.destroy()
  }

  const chosen = (probability: number, chance: Chance) => [...pairs].filter(() => chance.happens(probability))

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening')
  const balancer: Balancer = {
    url: `http://127.0.0.1:${address.port}`,
    leadTo(next) {
      ports = next
    },
    drop(probability, chance) {
      const dropped = chosen(probability, chance)
      for (const [near] of dropped) near.destroy()
      return dropped.length
    },
    down() {
      isDown = true
      for (const [near] of pairs) near.destroy()
    },
    up() {
      isDown = false
    },
    silence(probability, chance) {
      const silenced = chosen(probability, chance)
      for (const [near] of silenced) silent.add(near)
      return silenced.length
    },
    delayAnswers(milliseconds) {
      delay = milliseconds
    },
  }
  t.teardown(() => {
    balancer.down()
    server.close()
  })
  return balancer
}

/** @returns undefined where nobody takes the connection */
function open(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(socket))
    socket.on('error', () => {
      socket.destroy()
      resolve(undefined)
    })
  })
}
