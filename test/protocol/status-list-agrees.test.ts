import t from 'tap'
import { endApiKey, endApiKeys } from '../../src/api-keys/index.js'
import { disableClient, enableClient } from '../../src/clients/index.js'
import { disableUser, enableUser } from '../../src/identity/index.js'
import { createRole, grantRole, withdrawRole } from '../../src/resources/index.js'
import { type RevocationTarget, revoke } from '../../src/revocation/index.js'
import { type ApiKey, type ApiKeyOwner, sessions } from '../../src/store/index.js'
import { exchange, makeKey } from '../support/exchange.js'
import { createTestServer, type TestClient } from '../support/server.js'
import { createStatusVerifier } from '../support/status-lists.js'
import {
  apiIdentifier,
  application,
  claimsOf,
  type IssuedTokens,
  introspect,
  openScene,
  postAs,
  refresh,
  revokeAt,
  type Scene,
  type TokenAnswer,
  tokensFor,
} from '../support/tokens.js'

t.setTimeout(10 * 60_000)

// Tokens of services, of users and of API keys, from two processes, before and after everything that can end some of them. A verifier
// that shares no code with us reads the lists, and each must say what introspection says.

const scene = await openScene(t)
const { server, api } = scene
const beside = await createTestServer(t, { beside: server })
const both = [server, beside]
const by = { actor: 'operator' }
const cause = { cause: { ...by, reason: 'test' } }
const roleApi = 'https://roles.example'
const roleServer = await server.createResource(roleApi, 'r', { usesRoles: true })
await createRole(server.ctx, { resource: roleApi, name: 'reader', scope: ['r'] }, by)

interface Person {
  readonly id: string
}

interface Issued {
  readonly token: string
  readonly of: TestClient
  /** Whom introspection tells. */
  readonly owner: TestClient
}

interface LivingGrant {
  readonly app: TestClient
  readonly user: Person
  readonly issued: IssuedTokens['issued']
  readonly owner: TestClient
  refreshToken: string | undefined
}

const services = await Promise.all(Array.from({ length: 10 }, () => server.createService('read r')))
const users = await Promise.all(Array.from({ length: 8 }, (_, n) => server.createUser(`user${n}@example.com`)))
const apps = await Promise.all(
  Array.from({ length: 6 }, () => server.createClient({ ...application, scope: `${application.scope} r` })),
)
for (const { id } of users) await hold('user', id)
for (const { clientId } of services) await hold('client', clientId)
await hear()

const all: Issued[] = []
const grants: LivingGrant[] = []
for (const user of users) {
  for (const [index, app] of apps.entries()) {
    // Some at the API with roles, some offline.
    const roles = index > 3
    const inScene: Scene = { ...scene, client: app, user: { ...scene.user, id: user.id } }
    const tokens = await tokensFor(inScene, {
      scope: [roles ? 'r' : 'read'],
      resources: [roles ? roleApi : apiIdentifier],
      offline: index % 2 === 0,
    })
    const owner = roles ? roleServer : api
    all.push({ token: tokens.access_token, of: app, owner })
    grants.push({ app, user, issued: tokens.issued, owner, refreshToken: tokens.refresh_token })
  }
}

interface LivingKey {
  readonly key: ApiKey
  readonly text: string
  readonly of: TestClient
  readonly owner: TestClient
}

let keys: LivingKey[] = []
/** One for each owner, and of some a second: at the API with roles, or with a prefix of its own. */
async function makeKeys(disabled: readonly string[] = []): Promise<void> {
  const owners: readonly (readonly [ApiKeyOwner, TestClient])[] = [
    ...users.map(({ id }) => [{ kind: 'user', id }, api] as const),
    ...services.map((of) => [{ kind: 'client', id: of.clientId }, of] as const),
  ]
  for (const [index, [owner, of]] of owners.entries()) {
    if (disabled.includes(owner.id)) continue
    keys.push({ ...(await makeKey(server, { owner, scope: ['read'] })), of, owner: api })
    if (index % 3 === 0) keys.push({ ...(await makeKey(server, { owner, scope: ['r'] })), of, owner: roleServer })
    if (index % 3 === 1)
      keys.push({ ...(await makeKey(server, { owner, scope: ['read'], prefix: 'bulk' })), of, owner: api })
  }
}
await makeKeys()

function hold(kind: 'user' | 'client', holder: string): Promise<boolean> {
  return grantRole(server.ctx, roleApi, 'reader', { kind, holder }, by)
}

/** As a notification, or half a second, would have it. */
async function hear(): Promise<void> {
  for (const each of both) await each.refresh()
}

const processOf = (index: number) => both[index % both.length] ?? server

async function issue(perService: number, perGrant: number): Promise<void> {
  for (let count = 0; count < perService; count++) {
    await Promise.all(
      services.map(async (of, index) => {
        const [scope, owner] = (count + index) % 4 === 0 ? (['r', roleServer] as const) : (['read', api] as const)
        const reply = await postAs(processOf(count), of, '/token', { grant_type: 'client_credentials', scope })
        // A client that is disabled gets none, and one without its role not this scope.
        if (reply.statusCode === 200) all.push({ token: reply.json<TokenAnswer>().access_token, of, owner })
      }),
    )
  }
  for (let count = 0; count < perService; count += 15) {
    const replies = await Promise.all(keys.map(({ text }, index) => exchange(processOf(count + index), text)))
    replies.forEach((reply, index) => {
      const { of, owner } = keys[index]!
      if (reply.statusCode === 200) all.push({ token: reply.json<TokenAnswer>().access_token, of, owner })
    })
    // What failed fails again, and failures of a network are bounded.
    keys = keys.filter((_, index) => replies[index]?.statusCode === 200)
  }
  await Promise.all(
    grants.map(async (grant, index) => {
      for (let count = 0; count < perGrant && grant.refreshToken; count++) {
        const reply = await refresh(processOf(count + index), grant.app, grant.refreshToken)
        const answer = reply.json<TokenAnswer>()
        grant.refreshToken = reply.statusCode === 200 ? answer.refresh_token : undefined
        if (reply.statusCode === 200) all.push({ token: answer.access_token, of: grant.app, owner: grant.owner })
      }
    }),
  )
}

async function end(target: RevocationTarget): Promise<void> {
  await revoke(server.ctx, target, { ...by, reason: 'test' })
}

async function endSession({ sid }: IssuedTokens['issued']): Promise<void> {
  const session = await sessions.findById(server.ctx.db, sid)
  if (!session) throw new Error('the session is gone')
  await end({ kind: 'session', id: sid, ...session })
}

const clientOf = (list: readonly TestClient[], index: number): string => list[index]?.clientId ?? ''
const userOf = (index: number): string => users[index]?.id ?? ''

/** One after the other, with tokens of all in between. */
const endings: readonly (() => Promise<unknown>)[] = [
  async () => {
    // Every seventh token by itself, at either process.
    for (const [index, { token, of }] of all.entries()) {
      if (index % 7 === 0) await revokeAt(processOf(index), of, token)
    }
  },
  async () => {
    for (const grant of grants.slice(0, 6)) await revokeAt(beside, grant.app, grant.refreshToken ?? '')
    for (const { issued } of grants.slice(6, 14)) await endSession(issued)
  },
  () => end({ kind: 'client', clientId: clientOf(services, 0) }),
  () => end({ kind: 'user', userId: userOf(3) }),
  () => end({ kind: 'client', clientId: clientOf(apps, 1) }),
  () => withdrawRole(server.ctx, roleApi, 'reader', { kind: 'client', holder: clientOf(services, 1) }, by),
  () => withdrawRole(server.ctx, roleApi, 'reader', { kind: 'user', holder: userOf(4) }, by),
  () => disableClient(server.ctx, clientOf(services, 2), by),
  () => disableClient(server.ctx, clientOf(apps, 0), by),
  () => disableUser(server.ctx, userOf(5), by),
  async () => {
    await disableClient(server.ctx, clientOf(services, 3), by)
    await hear()
    await enableClient(server.ctx, clientOf(services, 3), by)
    await disableUser(server.ctx, userOf(6), by)
    await enableUser(server.ctx, userOf(6), by)
  },
  () => endKey(keyOf({ kind: 'user', id: userOf(0) })),
  () => endKey(keyOf({ kind: 'client', id: clientOf(services, 6) })),
  () => end({ ...keyOf({ kind: 'user', id: userOf(1) }), kind: 'api_key', lives: true }),
  () => endApiKeys(server.ctx, { kind: 'prefix', prefix: 'bulk' }, cause),
  () => endApiKeys(server.ctx, { kind: 'owner', owner: { kind: 'user', id: userOf(2) } }, cause),
  () => endApiKeys(server.ctx, { kind: 'owner', owner: { kind: 'client', id: clientOf(services, 7) } }, cause),
  async () => {
    await endApiKeys(server.ctx, { kind: 'all' }, cause)
    keys = []
    await makeKeys([clientOf(services, 2), userOf(5)])
  },
]

function keyOf({ kind, id }: ApiKeyOwner): ApiKey {
  const found = keys.find(({ key: { owner } }) => owner.kind === kind && owner.id === id)
  if (!found) throw new Error(`${kind} ${id} has no key`)
  return found.key
}

async function endKey({ id }: ApiKey): Promise<void> {
  await endApiKey(server.ctx, id, cause)
}

for (const ending of endings) {
  await issue(45, 14)
  await ending()
  await hear()
  server.clock.advance(7)
}
await issue(45, 14)
while (all.length < 10_000) await issue(20, 5)

interface Counts {
  active: number
  ended: number
  acceptedByList: number
  refusedByList: number
}

/** What introspection says of each, and where a list says otherwise. */
async function compare(tokens: readonly Issued[], verifier: ReturnType<typeof createStatusVerifier>): Promise<Counts> {
  const counts = { active: 0, ended: 0, acceptedByList: 0, refusedByList: 0 }
  for (let start = 0; start < tokens.length; start += 100) {
    await Promise.all(
      tokens.slice(start, start + 100).map(async ({ token, owner }) => {
        const [{ active }, status] = await Promise.all([introspect(server, owner, token), verifier.statusOf(token)])
        counts[active ? 'active' : 'ended']++
        if (!active && status === 0) counts.acceptedByList++
        if (active && status !== 0) counts.refusedByList++
      }),
    )
  }
  return counts
}

t.test('for 10,000 tokens, ended by every kind of target, the lists say what introspection says', async (t) => {
  const verifier = createStatusVerifier(beside)
  const counts = await compare(all, verifier)
  t.ok(all.length >= 10_000, `${all.length} tokens`)
  t.match(counts, { acceptedByList: 0, refusedByList: 0 }, 'neither is wrong')
  // It would prove nothing where nearly all were of one kind.
  t.ok(counts.active > 1500 && counts.ended > 1500, JSON.stringify(counts))
  const ofKeys = all.filter(({ token }) => claimsOf(token)['key_owner'] !== undefined)
  t.ok(ofKeys.length > 1000, `${ofKeys.length} tokens of API keys`)
  t.comment(JSON.stringify({ ...counts, lists: verifier.lists().length }))
})

t.test('no two of them have the same place', async (t) => {
  const places = all
    .map(({ token }) => token.split('.')[1] ?? '')
    .map((payload) => JSON.parse(Buffer.from(payload, 'base64url').toString()).status.status_list)
  t.equal(new Set(places.map(({ idx, uri }) => `${uri} ${idx}`)).size, all.length)
})

t.test('a process that reads the lists for the first time finds the same', async (t) => {
  const fresh = createStatusVerifier(await createTestServer(t, { beside: server, seed: 'fresh' }))
  const known = createStatusVerifier(server)
  let different = 0
  for (const { token } of all) if ((await fresh.statusOf(token)) !== (await known.statusOf(token))) different++
  t.equal(different, 0)
})

// Last, since it ends all of them. A block of places is of one key, so the lists tell of its end too, also whoever still has
// the key from a JWKS of before.
t.test(
  'a signing key that is ended: the lists say it of all that it signed, and of nothing that the next one signs',
  async (t) => {
    const before = all.length
    await server.ctx.keys.end(undefined, by)
    await hear()
    server.clock.advance(server.ctx.config.statusLists.ttl + 1)
    await issue(10, 2)
    const [old, next] = [all.slice(0, before), all.slice(before)]
    const verifier = createStatusVerifier(beside)
    t.same(await compare(old, verifier), { active: 0, ended: before, acceptedByList: 0, refusedByList: 0 })
    t.ok(next.length > 100, `${next.length} tokens of the next key`)
    t.same(await compare(next, verifier), { active: next.length, ended: 0, acceptedByList: 0, refusedByList: 0 })
  },
)
