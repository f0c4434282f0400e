// How a candidate's process talks to the run: it is told what to prepare, says where it listens, and then answers: what it
// has used, codes and refresh tokens made ahead, and what else its candidate can do. It ends with the run, however that ends.

import { generateKeyPairSync, sign, verify } from 'node:crypto'
import inspector from 'node:inspector/promises'

process.once('disconnect', () => process.exit(0))

/**
 * @param start gets what the scenario asks for; gives `port` and `jobs`, the requests that load it by their names, and
 *   `actions`: what it does when asked, by name
 */
export function serve(start) {
  process.once('message', async (options) => {
    try {
      const { actions = {}, ...ready } = await start(options)
      const known = { ...common, ...actions }
      process.on('message', async ({ action, ...details }) => {
        try {
          process.send((await known[action](details)) ?? {})
        } catch (error) {
          process.send({ error: error.stack })
        }
      })
      process.send({ ...ready, node: process.versions.node })
    } catch (error) {
      console.error(error)
      process.exit(1)
    }
  })
}

let session

const common = {
  usage() {
    const { user, system } = process.cpuUsage()
    return { cpu: user + system, rss: process.memoryUsage.rss() }
  },
  /** V8's sampling profiler, which `node --cpu-prof` runs: begun here, so that what was prepared is not in it. */
  async startProfile() {
    session = new inspector.Session()
    session.connect()
    await session.post('Profiler.enable')
    await session.post('Profiler.setSamplingInterval', { interval: 500 })
    await session.post('Profiler.start')
  },
  /** Microseconds of an ES256 signature and of its verification, in a loop. */
  signatures() {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const data = Buffer.alloc(400, 'x')
    const key = { key: privateKey, dsaEncoding: 'ieee-p1363' }
    const signature = sign('sha256', data, key)
    const time = (work) => {
      for (let turn = 0; turn < 500; turn++) work()
      const startedAt = performance.now()
      for (let turn = 0; turn < 5_000; turn++) work()
      return (performance.now() - startedAt) / 5
    }
    const checking = { key: publicKey, dsaEncoding: 'ieee-p1363' }
    return {
      openssl: process.versions.openssl,
      sign: time(() => sign('sha256', data, key)),
      verify: time(() => verify('sha256', data, checking, signature)),
    }
  },
  async stopProfile() {
    const { profile } = await session.post('Profiler.stop')
    session.disconnect()
    return { profile }
  },
}
