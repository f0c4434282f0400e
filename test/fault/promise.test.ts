import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Context } from '../../src/context.js'
import { createDatabaseProxy, type DatabaseProxy } from '../support/database-proxy.js'
import { waitFor } from '../support/process.js'
import { inBackOffice } from './support/back-office.js'
import { type Balancer, createBalancer } from './support/balancer.js'
import { type Chance, chance } from './support/chance.js'
import { form, seed } from './support/form.js'
import { createInstallation, type Installation } from './support/installation.js'
import { Ledger, nameOf } from './support/ledger.js'
import { embeddedPrograms } from './support/postgres-programs.js'
import { createPostgres, type PostgresServer } from './support/postgres-server.js'
import { bound, Checker, type Claims, type HeldToken, Holdings } from './support/promise.js'
import { type Cast, type Format, registerCast } from './support/promise-cast.js'
import { goodOne, insist, type PromiseScene, startPromiseLoad } from './support/promise-load.js'
import { openRequester } from './support/requester.js'
import { clientCredentials, introspect, revokeToken, tokensOf } from './support/requests.js'
import { record } from './support/rows.js'
import { startVerifiers, type Use, type VerifierOptions, type Verifiers } from './support/verifiers.js'

t.setTimeout(form(400_000, 1_800_000))

interface Scene {
  readonly postgres: PostgresServer
  readonly proxy: DatabaseProxy
  readonly balancer: Balancer
  readonly installation: Installation
}

/** Two server processes behind a load balancer, PostgreSQL, and between all of them networks that the test commands. */
async function openScene(t: Test): Promise<Scene> {
  const postgres = await createPostgres(t, { programs: await embeddedPrograms(t) })
  const proxy = await createDatabaseProxy(t, postgres.url)
  const balancer = await createBalancer(t)
  const installation = await createInstallation(t, {
    processes: [
      { name: 'one', role: 'serve' },
      { name: 'two', role: 'serve' },
    ],
    databaseUrl: postgres.url,
    through: async () => proxy.url,
    issuer: balancer.url,
  })
  balancer.leadTo(installation.servers.map(({ port }) => port!))
  return { postgres, proxy, balancer, installation }
}

type Fault = (scene: Scene, luck: Chance) => Promise<unknown>

const faults: Readonly<Record<string, Fault>> = {
  async 'connections of the feed break'({ balancer }, luck) {
    for (let count = luck.between(2, 5); count > 0; count--) {
      balancer.drop(0.5, luck)
      await delay(luck.between(50, 400))
    }
  },
  async 'connections of the feed carry nothing more'({ balancer }, luck) {
    balancer.silence(0.7, luck)
    await delay(luck.between(500, 2000))
  },
  // Constantly, so that no heartbeat is later than another.
  async 'what servers say comes late'({ balancer }, luck) {
    balancer.delayAnswers(luck.between(1100, 1700))
    balancer.drop(1, luck)
    await delay(luck.between(5000, 7000))
    balancer.delayAnswers(0)
  },
  async 'nobody reaches a server'({ balancer }, luck) {
    balancer.down()
    await delay(luck.between(1200, 2500))
    balancer.up()
  },
  async 'notifications are lost'({ proxy }, luck) {
    proxy.loseNotifications(true)
    await delay(luck.between(3000, 5000))
    proxy.loseNotifications(false)
  },
  async 'kill -9 of a server process'({ installation }, luck) {
    const process = luck.oneOf(installation.servers)
    await process.end('SIGKILL')
    await delay(luck.between(0, 500))
    await process.start()
  },
  async 'PostgreSQL restarts'({ postgres }, luck) {
    await postgres.stop('fast')
    await delay(luck.between(0, 1500))
    await postgres.start()
  },
}

/** Every verifier accepts a token again. Seconds. */
const healing = 30

async function allAccept({ verifiers, holdings, checker, chance: luck }: PromiseScene): Promise<void> {
  for (let verifier = 0; verifier < verifiers.count; verifier++) {
    const accepts = async (): Promise<boolean> => {
      const token = goodOne(holdings, luck, ({ claims }) => verifiers.of(claims.aud).includes(verifier))
      if (!token) return false
      const use = await verifiers.show(verifier, token.value)
      checker.judge(token, use)
      return use.status === 200
    }
    await waitFor(accepts, healing, `verifier ${verifier} does not accept good tokens again`)
  }
}

/** Ends every signing key, and so every JWT that is held. */
async function endKeys({ ctx, holdings }: PromiseScene): Promise<void> {
  await ctx.refresh()
  const kids = ctx.keys.list().map(({ kid }) => kid)
  const done = kids.map((kid) => holdings.revoke(`key ${kid}`, { terminal: true }))
  await insist(() => ctx.keys.end(kids, { actor: 'operator' }))
  for (const each of done) each()
}

/** So many requests must have been sent after the bound, and so long may they take: seconds. */
const wanted = form(5_000, 100_000)
const patience = form(60, 900)

/**
 * The promise: 1 s after the 200 of a revocation no verifier accepts what it ended, whatever fails. A verifier that cannot
 * know puts off everybody, with 503, or asks the server where it is to, and puts off whom nobody answers for. None refuses a
 * good token.
 */
async function holdPromise(t: Test, scene: Scene, ctx: Context, cast: Cast, verifiers: Verifiers): Promise<void> {
  const luck = chance(`${seed}/the promise`)
  const [holdings, checker] = [new Holdings(), new Checker()]
  const { installation } = scene
  const stage: PromiseScene = { installation, ctx, cast, verifiers, holdings, checker, chance: luck }
  const load = startPromiseLoad(stage, form(6, 16))
  let rounds = 0
  try {
    await allAccept(stage)
    for (let turn = 0; turn < form(1, 8); turn++) {
      for (const [name, strike] of shuffled(Object.entries(faults), luck)) {
        await strike(scene, luck)
        const since = performance.now()
        await allAccept(stage)
        t.comment(`${name}: healed after ${Math.round(performance.now() - since)} ms`)
        await delay(luck.between(500, 1500))
        rounds++
      }
    }
    await waitFor(() => checker.totals.after >= wanted, patience, 'too few requests were sent after the bound')
    const before = holdings.ended.length
    await endKeys(stage)
    t.ok(holdings.ended.length > before, 'the end of the keys is the end of what they signed')
    await allAccept(stage)
    await delay(3 * bound)
    rounds++
  } finally {
    await load.stop()
  }

  const { totals } = checker
  t.comment(JSON.stringify({ ...totals, longest: Math.round(checker.longest), ...load.revocations }))
  t.same(checker.breaches.slice(0, 20), [], `${checker.breaches.length} breaches`)
  t.same(load.withdrawn, [], 'who lost a role gets no token with its scope')
  t.ok(totals.after >= wanted, `${totals.after} requests were sent after the bound`)
  t.ok(totals.afterRefused > totals.after / 2, 'most of them to verifiers that knew')
  t.ok(totals.goodAccepted > totals.good / 3, 'good tokens were accepted meanwhile')
  t.ok(totals.opaqueAfter > totals.after / 10, `${totals.opaqueAfter} of them with an opaque one`)
  t.ok(totals.introspectedAccepted > 0, 'good tokens were accepted by who knew too little and asked')
  for (const kind of form(['token', 'grant'], ['token', 'grant', 'session', 'client', 'user', 'role'])) {
    t.ok((load.revocations[kind] ?? 0) > 0, `there were revocations of the kind ${kind}`)
  }
  const [shown] = await scene.postgres.sql('SHOW server_version')
  const number = (value: number): string => value.toLocaleString('en')
  const { requests: operations, accepted: acknowledged, refused, unavailable, after } = totals
  await record({
    ...{
      fault: 'Ten verifiers: feed cut, notifications lost, kill -9, PostgreSQL restarted, keys ended',
      rounds,
      seed,
    },
    ...{ operations, acknowledged, refused, unavailable, unanswered: 0, unreachable: 0, hung: 0 },
    ...{ lost: checker.breaches.length, doubled: 0, histories: 0, failed: 0, porcupine: false },
    database: String(shown?.['server_version']),
    remark:
      `the requests are to APIs, of ${number(holdings.tokens.length)} tokens, of which ${number(holdings.ended.length)} ` +
      `were revoked. ${number(after)} were sent with a revoked one, more than 1 s after the 200: ` +
      `${number(totals.afterRefused)} were answered 401 and ${number(totals.afterUnavailable)} 503; none was accepted. ` +
      `${number(totals.opaqueAfter)} of them were opaque, and ${number(totals.introspectedAfter)} were introspected by an ` +
      'API whose knowledge was too old. ' +
      `The last that was had been sent ${number(Math.round(checker.longest))} ms after the 200`,
  })
}

function shuffled<Item>(items: readonly Item[], luck: Chance): readonly Item[] {
  return items
    .map((item) => ({ item, place: luck.number() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item)
}

/** Tokens of both formats, issued past the balancer, and the requests about them. */
async function openBag(t: Test, { installation }: Scene, { people }: Cast, name: string) {
  const holdings = new Holdings()
  const requester = openRequester(installation, new Ledger(), name, chance(`${seed}/${name}`))
  t.teardown(requester.close)
  for (const each of people.slice(0, 2)) {
    for (let count = 0; count < 20; count++) {
      const { access } = tokensOf(await requester.insist(clientCredentials(each)))
      const about = { model: 'token', key: nameOf(access) } as const
      const asked = access.includes('.') ? undefined : await requester.insist(introspect(each, access, about))
      holdings.add(access, asked && JSON.parse(asked.body))
    }
  }
  return {
    tokens: holdings.tokens,
    async revoke(tokens: readonly HeldToken[]): Promise<void> {
      for (const { claims, value } of tokens) {
        const done = holdings.revoke(`token ${claims.jti}`, { terminal: true })
        const owner = people.find(({ service }) => service.clientId === claims.client_id)
        await requester.insist(revokeToken(owner!, value))
        done()
      }
    },
  }
}

/** Each token to each verifier of its API. @returns what they said */
async function showAll(tokens: readonly HeldToken[], verifiers: Verifiers, checker: Checker) {
  const pairs = tokens.flatMap((token) => verifiers.of(token.claims.aud).map((verifier) => ({ token, verifier })))
  return Promise.all(
    pairs.map(async ({ token, verifier }) => {
      const use = await verifiers.show(verifier, token.value)
      checker.judge(token, use)
      return { token, use }
    }),
  )
}

/**
 * With the feed cut, and a tolerance that never ends, the promise is broken: by JWTs, and by opaque tokens, since nothing
 * drops what was introspected. The same checker says so.
 */
async function breakPromise(t: Test, scene: Scene, cast: Cast, strict: Verifiers, credulous: Verifiers): Promise<void> {
  const { balancer } = scene
  const { tokens, revoke } = await openBag(t, scene, cast, 'broken')
  const [checker, other] = [new Checker(), new Checker()]
  const shown = await showAll(tokens, credulous, checker)
  t.same(checker.breaches, [])
  t.equal(checker.totals.goodAccepted, shown.length, 'good at first')
  t.equal(checker.totals.opaque, shown.length / 2, 'and half of them opaque')

  balancer.down()
  await revoke(tokens)
  await delay(bound + 100)
  await showAll(tokens, credulous, checker)
  const accepted = checker.breaches.filter(({ what }) => what === 'a revoked token was accepted')
  t.equal(accepted.length, shown.length, 'each of them was accepted, and the checker says so')

  // Those with a tolerance have noticed by now, and whoever asks is answered by nobody.
  const putOff = await showAll(tokens, strict, other)
  t.same(other.breaches, [])
  t.equal(other.totals.afterUnavailable, putOff.length, 'whoever cannot know answers 503')
  balancer.up()
}

/**
 * What servers say comes later than a verifier waits for its feed, and sooner than for an introspection: who asks is
 * answered, and who does not knows nothing.
 */
async function askPastTolerance(t: Test, scene: Scene, cast: Cast, verifiers: Verifiers): Promise<void> {
  const { balancer } = scene
  const { tokens, revoke } = await openBag(t, scene, cast, 'asking')
  balancer.delayAnswers(2_500)
  balancer.drop(1, chance(seed))
  const areStale = async (): Promise<boolean> => {
    const uses = await Promise.all(Array.from({ length: verifiers.count }, (_, index) => verifiers.show(index, 'none')))
    return uses.every(({ before }) => before === 'stale')
  }
  await waitFor(areStale, healing, 'their knowledge did not become too old')
  const revoked = tokens.filter((_, index) => index % 2 === 0)
  await revoke(revoked)
  await delay(bound)
  const checker = new Checker()
  const shown = await showAll(tokens, verifiers, checker)
  balancer.delayAnswers(0)
  t.same(checker.breaches, [])
  for (const { token, use } of shown) {
    const asks = token.format === 'opaque' || use.onStale === 'introspect'
    const expected = !asks ? 'knowledge_stale' : token.ended === undefined ? '' : 'inactive'
    if (use.reason !== expected) t.fail(`${token.format} at who is to ${use.onStale}`, { use, expected })
  }
  t.ok(checker.totals.introspectedAccepted > 0, 'live JWTs were accepted')
  t.ok(checker.totals.introspectedAfter > 0, 'and revoked ones refused')
}

t.test('the checker finds what breaks the promise, and nothing else', async (t) => {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  const claimsOf = (jti: string, iat = now): Claims => ({ aud: 'a', jti, client_id: 'c', sub: 'c', iat })
  const issue = (holdings: Holdings, jti: string, iat = now) =>
    holdings.add(`${encode({ kid: 'k' })}.${encode(claimsOf(jti, iat))}.signature`)
  const shownAt = (sent: number, how: Partial<Use>): Use => ({
    ...{ verifier: 0, sent, answered: sent + 1, status: 200, retryAfter: undefined, reason: '' },
    ...{ before: 'ready', after: 'ready', onStale: 'refuse' },
    ...how,
  })
  const breachesOf = (late: number, how: Partial<Use>, end?: (holdings: Holdings) => void): readonly string[] => {
    const [holdings, checker] = [new Holdings(), new Checker()]
    const token = issue(holdings, 't')
    end?.(holdings)
    checker.judge(token, shownAt(performance.now() + late, how))
    return checker.breaches.map(({ what }) => what)
  }
  const putOff = { status: 503, retryAfter: '1' }
  const revoked = (holdings: Holdings): void => holdings.revoke('client c', { terminal: false })()
  const beingRevoked = (holdings: Holdings): void => void holdings.revoke('token t', { terminal: true })

  t.same(breachesOf(bound + 50, {}, revoked), ['a revoked token was accepted'])
  t.same(breachesOf(bound + 50, { status: 403 }, revoked).length, 2, 'nor is 403 an answer')
  t.same(breachesOf(0, { status: 401 }), ['a good token was refused'])
  t.same(breachesOf(0, { status: 401, before: 'stale', after: 'stale' }), ['a good token was refused'])
  t.same(breachesOf(0, putOff), ['a good token was put off by fresh knowledge'])
  t.same(breachesOf(0, { status: 503, before: 'stale' }), ['an answer that no verifier gives'])

  t.same(breachesOf(0, {}), [])
  t.same(breachesOf(0, { ...putOff, after: 'stale' }), [])
  t.same(breachesOf(bound - 50, {}, revoked), [], 'before the bound it may be')
  t.same(breachesOf(bound + 50, { status: 401 }, revoked), [])
  t.same(breachesOf(bound + 50, putOff, revoked), [])
  t.same(breachesOf(bound + 50, {}, beingRevoked), [], 'nobody has been told 200')
  t.same(breachesOf(0, { status: 401 }, beingRevoked), [], 'nor that it is good')

  const unasked = ['a token was put off without a question to the server']
  const unanswered = { ...putOff, reason: 'introspection_unavailable' }
  const asking = { before: 'stale', after: 'stale', onStale: 'introspect' } as const
  t.same(breachesOf(0, { ...asking, ...putOff, reason: 'knowledge_stale' }), unasked)
  t.same(breachesOf(0, { ...asking, ...unanswered }), [])
  t.same(breachesOf(bound + 50, asking, revoked), ['a revoked token was accepted'])

  const opaqueAt = (...uses: readonly Partial<Use>[]): readonly string[] => {
    const [token, checker] = [new Holdings().add('opaque', claimsOf('t')), new Checker()]
    for (const [index, use] of uses.entries()) checker.judge(token, shownAt(performance.now() + 10 * index, use))
    return checker.breaches.map(({ what }) => what)
  }
  t.same(opaqueAt({ ...putOff, after: 'stale', reason: 'knowledge_stale' }), unasked)
  t.same(opaqueAt(unanswered, {}), [], 'it is not known before it was asked about')
  t.same(opaqueAt({}, unanswered), ['a good token was put off by fresh knowledge'])
  t.same(opaqueAt({}, { ...unanswered, verifier: 1 }), [], 'each verifier has its own memory')

  const holdings = new Holdings()
  revoked(holdings)
  t.equal(issue(holdings, 'of its second').ending === undefined, false)
  t.equal(issue(holdings, 'later', now + 5).ending, undefined)
  holdings.revoke('key k', { terminal: true })()
  t.not(issue(holdings, 'of an ended key', now + 5).ended, undefined)
})

/** Ten: both processes have verifiers of each API, some of which introspect past their tolerance. */
function tenVerifiers(issuer: string, { apis }: Cast): readonly (readonly VerifierOptions[])[] {
  const verifier = (format: Format, onStale: 'refuse' | 'introspect') =>
    ({ issuer, ...apis[format], tolerance: 1_000, onStale }) satisfies VerifierOptions
  const five = [
    verifier('jwt', 'refuse'),
    verifier('jwt', 'refuse'),
    verifier('jwt', 'introspect'),
    verifier('opaque', 'refuse'),
    verifier('opaque', 'introspect'),
  ]
  return [five, five]
}

t.test('within 1 s of its 200 a revocation holds at ten verifiers, whatever fails', async (t) => {
  t.comment(`seed ${seed}: OSTIARY_FAULT_SEED=${seed} makes the same choices again`)
  const scene = await openScene(t)
  await inBackOffice(scene.installation, async ({ ctx }) => {
    const cast = await registerCast(ctx, 2)
    const issuer = scene.balancer.url
    const verifiers = await startVerifiers(t, tenVerifiers(issuer, cast))
    await t.test('the promise holds', (t) => holdPromise(t, scene, ctx, cast, verifiers))
    await t.test('past the tolerance who is to introspect asks, and others put off', (t) =>
      askPastTolerance(t, scene, cast, verifiers),
    )
    await t.test('the test can fail: without a tolerance, and with the feed cut, it does', async (t) => {
      const blind = Object.values(cast.apis).map((api) => ({ issuer, ...api, tolerance: 600_000 }))
      await breakPromise(t, scene, cast, verifiers, await startVerifiers(t, [blind]))
    })
  })
})
