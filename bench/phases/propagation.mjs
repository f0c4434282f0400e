// From the 200 of /revoke to the listeners of two server processes, and to the refusal by what an API installs; what both
// cost; a cold start with a million entries.

import { randomBytes } from 'node:crypto'
import { listen, readSnapshot } from '../feed.mjs'
import { collect, createAgent, encode, formHeaders, send } from '../http.mjs'
import { bothCores, rssOf, serverCore, startProcess } from '../machine.mjs'
import { openPostgres, query } from '../postgres.mjs'
import { startProduct } from '../product.mjs'
import { measureRevokedUsers } from '../revoked-users.mjs'
import { openSite } from '../site.mjs'
import { issuer, openVerifier, refuses } from '../verifiers.mjs'

const listenerCounts = [1, 10, 100]
/** Revocations for each number of listeners, and milliseconds between two. */
const revocations = 300
const pause = 20
/** Seconds. */
const idleTime = 30
const million = 1_000_000
/** Live tokens of a user who is revoked. */
const few = 1
const many = 100_000

export async function measurePropagation(_load, { trial }) {
  const postgres = await openPostgres()
  const masterKey = randomBytes(32).toString('base64')
  const site = await openSite({ databaseUrl: postgres.url, masterKey, tag: 'propagation' })
  // One installation: what the one issued the other knows.
  const env = { DATABASE_URL: postgres.url, MASTER_KEY: masterKey, ISSUER: issuer }
  const servers = [await startProduct(env, { cores: serverCore }), await startProduct(env, { cores: bothCores })]
  const agent = createAgent()
  try {
    const rounds = trial ? 30 : revocations
    const spread = []
    for (const count of listenerCounts) spread.push(await measureSpread(site, servers, agent, { count, rounds }))
    const refusals = []
    for (const count of listenerCounts) refusals.push(await measureRefusals(site, servers, agent, { count, rounds }))
    const wire = await measureWire(site, servers[0], agent, rounds)
    const users = await measureRevokedUsers(site, servers[0].origin, postgres.url, [few, trial ? many / 10 : many])
    const idle = await measureIdle(site, servers[0], agent, trial ? 5 : idleTime)
    await servers[1].end()
    const cold = await measureColdStart(site, servers[0], agent, postgres.url, trial ? 100_000 : million)
    const verifier = await measureVerifier(site, servers[0])
    return { spread, refusals, wire, users, idle, cold, verifier, revocations: rounds }
  } finally {
    agent.destroy()
    for (const { end } of servers) await end()
    await site.close()
    await postgres.stop()
  }
}

async function measureSpread(site, servers, agent, { count, rounds }) {
  const token = await feedToken(site, servers[0], agent)
  /** Of each revocation: when each listener heard of it. */
  const heard = new Map()
  const onEntries = (entries) => {
    const now = performance.now()
    for (const { id } of entries) heard.get(id)?.push(now)
  }
  const listeners = await Promise.all(
    Array.from({ length: count }, (_, index) => listen(servers[index % 2].origin, token, { onEntries })),
  )
  await Promise.all(listeners.map(({ live }) => live))
  const tokens = await collect(rounds, () => accessToken(site, servers[0], agent))
  const delays = []
  for (const [index, value] of tokens.entries()) {
    const { jti } = JSON.parse(Buffer.from(value.split('.')[1], 'base64url'))
    heard.set(jti, [])
    // At one server and then the other: each has listeners of its own, and of others.
    await post(agent, servers[index % 2], '/revoke', { ...site.service, token: value })
    const answered = performance.now()
    while (heard.get(jti).length < count) {
      if (performance.now() - answered > 10_000) throw new Error('a listener has not heard of a revocation')
      await new Promise(setImmediate)
    }
    // Most hear of it before the answer is read: no sooner than at once.
    delays.push(...heard.get(jti).map((at) => Math.max(0, at - answered)))
    heard.delete(jti)
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
  for (const { close } of listeners) close()
  const measured = { listeners: count, ...sumUp(delays) }
  console.log(`  ${count} listeners: p99 ${measured.p99.toFixed(1)} ms, ${measured.most.toFixed(1)} ms at most`)
  return measured
}

/** Until each of the verifiers refuses a request with the token, which it has let through before. */
async function measureRefusals(site, servers, agent, { count, rounds }) {
  const verifiers = await Promise.all(
    Array.from({ length: count }, (_, index) => openVerifier(site, servers[index % 2].origin)),
  )
  const tokens = await collect(rounds, () => accessToken(site, servers[0], agent))
  const delays = []
  for (const [index, value] of tokens.entries()) {
    for (const each of verifiers) if (await refuses(each, value)) throw new Error('a good token is refused')
    await post(agent, servers[index % 2], '/revoke', { ...site.service, token: value })
    const answered = performance.now()
    for (let waiting = verifiers; waiting.length > 0; ) {
      const left = []
      for (const each of waiting) {
        if (await refuses(each, value)) delays.push(performance.now() - answered)
        else left.push(each)
      }
      if (performance.now() - answered > 10_000) throw new Error('a verifier lets a revoked token through')
      waiting = left
      await new Promise(setImmediate)
    }
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
  await Promise.all(verifiers.map((each) => each.close()))
  const measured = { verifiers: count, ...sumUp(delays) }
  console.log(`  ${count} verifiers: p99 ${measured.p99.toFixed(1)} ms, ${measured.most.toFixed(1)} ms at most`)
  return measured
}

function sumUp(delays) {
  delays.sort((a, b) => a - b)
  const at = (share) => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))]
  return { p50: at(0.5), p99: at(0.99), most: delays.at(-1) }
}

/** Bytes that a listener gets for a revocation that comes by itself: compressed, and as they are. */
async function measureWire(site, server, agent, rounds) {
  const token = await feedToken(site, server, agent)
  const measured = {}
  for (const [name, gzip] of [
    ['compressed', true],
    ['plain', false],
  ]) {
    let entries = 0
    const onEntries = (some) => (entries += some.length)
    // As good as no heartbeats.
    const listener = await listen(server.origin, token, { onEntries, gzip, heartbeat: 10_000 })
    await listener.live
    const before = listener.bytes()
    for (const value of await collect(rounds, () => accessToken(site, server, agent))) {
      const due = entries + 1
      await post(agent, server, '/revoke', { ...site.service, token: value })
      while (entries < due) await new Promise(setImmediate)
    }
    measured[name] = (listener.bytes() - before) / rounds
    listener.close()
  }
  return measured
}

/** A verifier that begins with what the cold start has left. */
async function measureVerifier({ audience, api: { resource, clientSecret } }, { origin }) {
  const child = startProcess('servers/follow.mjs', { flags: ['--expose-gc'] })
  try {
    const site = { audience, api: { resource: { clientId: resource.clientId }, clientSecret } }
    const { seconds, entries, bytes, rss } = await child.ask({ site, origin })
    console.log(`  a verifier: ${(bytes / entries).toFixed(0)} bytes an entry, ${seconds.toFixed(1)} s to begin`)
    return { seconds, entries, bytes, rss }
  } finally {
    await child.end()
  }
}

/** What a server process uses of a core: alone, and with a hundred listeners that nothing is told. */
async function measureIdle(site, server, agent, seconds) {
  const use = async () => {
    const before = server.usage().cpu
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
    return (server.usage().cpu - before) / 1e6 / seconds
  }
  const alone = await use()
  const token = await feedToken(site, server, agent)
  const listeners = await Promise.all(Array.from({ length: 100 }, () => listen(server.origin, token)))
  await Promise.all(listeners.map(({ live }) => live))
  const bytesBefore = listeners[0].bytes()
  const busy = await use()
  const bytes = (listeners[0].bytes() - bytesBefore) / seconds
  for (const { close } of listeners) close()
  console.log(`  idle: ${(alone * 100).toFixed(2)} % of a core, with 100 listeners ${(busy * 100).toFixed(2)} %`)
  return { seconds, alone, busy, bytes }
}

async function measureColdStart(site, server, agent, databaseUrl, entries) {
  const rssBefore = rssOf(server.pid)
  const cpuBefore = server.usage().cpu
  const now = new Date()
  const expiresAt = new Date(now.getTime() + 3_600_000)
  await query(
    databaseUrl,
    `INSERT INTO revocation (bucket, kind, target, position, terminal, instant, audiences, reason, expires_at)
     SELECT $1, 'token', gen_random_uuid(), nextval('revocation_position'), true, $2, ARRAY[$3], 'bench', $4
       FROM generate_series(1, $5::int)`,
    { values: [Math.floor(expiresAt.getTime() / 86_400_000), now, site.audience, expiresAt, entries] },
  )
  const readAt = performance.now()
  const token = await feedToken(site, server, agent)
  await readSnapshot(server.origin, token)
  const first = (performance.now() - readAt) / 1000
  const cpu = (server.usage().cpu - cpuBefore) / 1e6
  const startedAt = performance.now()
  const snapshot = await readSnapshot(server.origin, token)
  const seconds = (performance.now() - startedAt) / 1000
  const rss = rssOf(server.pid)

  let listened = 0
  const feedAt = performance.now()
  const listener = await listen(server.origin, token, { after: 0, onEntries: (some) => (listened += some.length) })
  await listener.live
  const feed = { seconds: (performance.now() - feedAt) / 1000, bytes: listener.bytes(), entries: listened }
  listener.close()
  console.log(`  ${snapshot.entries} entries: ${(snapshot.bytes / 1e6).toFixed(1)} MB in ${seconds.toFixed(1)} s`)
  return { ...snapshot, first, cpu, seconds, feed, rssBefore, rss }
}

async function accessToken({ service, scope, audience }, server, agent) {
  const form = { grant_type: 'client_credentials', ...service, scope, resource: audience }
  return JSON.parse(await post(agent, server, '/token', form)).access_token
}

/** As the resource server of the API that the tokens are for. */
async function feedToken({ api }, server, agent) {
  const basic = Buffer.from(`${api.resource.clientId}:${api.clientSecret}`).toString('base64')
  const form = { grant_type: 'client_credentials', scope: 'revocations' }
  return JSON.parse(await post(agent, server, '/token', form, { authorization: `Basic ${basic}` })).access_token
}

async function post(agent, { origin }, path, form, headers = {}) {
  const request = { method: 'POST', path, headers: { ...formHeaders, ...headers }, body: encode(form) }
  const { status, text } = await send(agent, origin, request)
  if (status !== 200) throw new Error(`${path}: ${status}: ${text}`)
  return text
}
