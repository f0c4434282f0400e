import t, { type Test } from 'tap'
import { protect } from '../../packages/resource-server/src/index.js'
import { disableClient } from '../../src/clients/index.js'
import { disableUser } from '../../src/identity/index.js'
import { revoke } from '../../src/revocation/index.js'
import { sessions } from '../../src/store/index.js'
import { createRunningServer } from '../support/running-server.js'
import {
  apiIdentifier,
  application,
  type IssuedTokens,
  postAs,
  revokeAt,
  type Scene,
  tokensFor,
} from '../support/tokens.js'
import { ServerPlatform } from './support/platform.js'

// The package without credentials, and the status lists of the server itself.

const by = { actor: 'operator' }
const cause = { actor: 'operator', reason: 'test' }
/** Seconds: the default of STATUS_LIST_TTL. */
const ttl = 60

const server = await createRunningServer(t)
const scene: Scene = {
  server,
  api: await server.createResource(apiIdentifier, 'read write'),
  client: await server.createClient(application),
  user: await server.createUser(),
}
const service = await server.createService('read')

async function serviceToken(): Promise<string> {
  const reply = await postAs(server, service, '/token', { grant_type: 'client_credentials', scope: 'read' })
  if (reply.statusCode !== 200) throw new Error(`no token: ${reply.body}`)
  return reply.json().access_token
}

/** No test finds the lists that were made for another. */
t.beforeEach(() => server.clock.advance(ttl))

/** A verifier at the server's time. */
async function verify(t: Test) {
  const platform = new ServerPlatform(server.clock)
  const warnings: string[] = []
  const { issuer } = server.ctx.config.server
  const warn = (message: string) => warnings.push(message)
  const api = await protect({ issuer, audience: apiIdentifier, platform, warn })
  t.teardown(() => api.close())
  const check = (token: string) => api.check({ headers: { authorization: `Bearer ${token}` } })
  /** `ok`, or why not. */
  const outcome = async (token: string): Promise<string> => {
    const decision = await check(token)
    return decision.ok ? 'ok' : decision.reason
  }
  const lists = () =>
    platform.answers.filter(({ path }) => path.startsWith('/status-lists/')).map(({ status }) => status)
  return { api, platform, check, outcome, lists, warnings }
}

interface Cast extends Scene {
  readonly tokens: IssuedTokens
}

const endings: Readonly<Record<string, (cast: Cast) => Promise<unknown>>> = {
  'the token': ({ server, client, tokens }) => revokeAt(server, client, tokens.access_token),
  'its grant': ({ server, client, tokens }) => revokeAt(server, client, tokens.refresh_token),
  async 'its session'({ server, tokens }) {
    const session = await sessions.findById(server.ctx.db, tokens.issued.sid)
    if (!session) throw new Error('there is no such session')
    await revoke(server.ctx, { kind: 'session', id: tokens.issued.sid, ...session }, cause)
  },
  'its client': ({ server, client }) => revoke(server.ctx, { kind: 'client', clientId: client.clientId }, cause),
  'its client, disabled': ({ server, client }) => disableClient(server.ctx, client.clientId, by),
  'its user': ({ server, user }) => revoke(server.ctx, { kind: 'user', userId: user.id }, cause),
  'its user, disabled': ({ server, user }) => disableUser(server.ctx, user.id, by),
}

t.test('a token that is revoked, by whatever way, is refused once the ttl of its list is over', async (t) => {
  const { api, outcome, warnings } = await verify(t)
  t.match(api.health(), { state: 'ready', revocation: 'status-list' })
  for (const [what, end] of Object.entries(endings)) {
    const client = await server.createClient(application)
    const user = await server.createUser(`${what.replaceAll(/[^a-z]/g, '')}@example.com`)
    const tokens = await tokensFor({ ...scene, client, user })
    const others = [(await tokensFor(scene)).access_token, await serviceToken()]
    for (const token of [tokens.access_token, ...others]) t.equal(await outcome(token), 'ok')
    await end({ ...scene, client, user, tokens })
    t.equal(await outcome(tokens.access_token), 'ok', `${what}: it cannot know yet`)
    server.clock.advance(ttl)
    t.equal(await outcome(tokens.access_token), 'revoked', what)
    for (const token of others) t.equal(await outcome(token), 'ok', `${what}: and nothing else`)
  }
  t.same(warnings, [])
})

t.test('so is a token of a service, by itself and with its client', async (t) => {
  const { outcome } = await verify(t)
  const [first, second, third] = [await serviceToken(), await serviceToken(), await serviceToken()]
  for (const token of [first, second, third]) t.equal(await outcome(token), 'ok')
  await revokeAt(server, service, first)
  server.clock.advance(ttl)
  t.same([await outcome(first), await outcome(second)], ['revoked', 'ok'], 'one token of a block, and not the next one')
  await revoke(server.ctx, { kind: 'client', clientId: service.clientId }, cause)
  server.clock.advance(ttl)
  for (const token of [first, second, third]) t.equal(await outcome(token), 'revoked')
  t.equal(await outcome(await serviceToken()), 'ok', 'what the client gets afterwards is good')
})

t.test(
  'it knows after two ttl at the latest: a list is kept for one by the server, and for one by the API',
  async (t) => {
    const token = await serviceToken()
    const early = await verify(t)
    t.equal(await early.outcome(token), 'ok')
    await revokeAt(server, service, token)
    server.clock.advance(ttl - 1)
    const late = await verify(t)
    t.equal(await late.outcome(token), 'ok', 'the list of before is given until it is a ttl old')
    server.clock.advance(1)
    t.equal(await early.outcome(token), 'revoked')
    server.clock.advance(ttl - 2)
    t.equal(await late.outcome(token), 'ok')
    server.clock.advance(1)
    t.equal(await late.outcome(token), 'revoked')
  },
)

t.test('a signing key that is ended: what it signed is refused, and what the next one signs is good', async (t) => {
  const { outcome } = await verify(t)
  const old = await serviceToken()
  t.equal(await outcome(old), 'ok')
  await server.ctx.keys.end(undefined, by)
  await server.ctx.revocations.refresh()
  const next = await serviceToken()
  // A list that the ended key signed is none for whoever knows its end.
  const fresh = await verify(t)
  t.equal(await fresh.outcome(next), 'ok')
  t.equal(await fresh.outcome(old), 'key_unknown')
  server.clock.advance(ttl)
  t.equal(await outcome(old), 'revoked')
  t.equal(await outcome(next), 'ok')
  t.equal(await outcome(old), 'key_unknown', 'by now it has fetched the keys, too')
})

t.test('RFC 9110 §13.1.2: a list that has not changed is not sent again', async (t) => {
  const { outcome, lists, platform } = await verify(t)
  const token = await serviceToken()
  t.equal(await outcome(token), 'ok')
  platform.ahead += ttl * 1000
  t.equal(await outcome(token), 'ok')
  t.same(lists(), [200, 304], 'no time has passed at the server: the list is the same')
  t.equal(await outcome(token), 'ok')
  t.equal(lists().length, 2, 'and good for another ttl')
  await revokeAt(server, service, token)
  server.clock.advance(ttl)
  t.equal(await outcome(token), 'revoked')
  t.same(lists(), [200, 304, 200])
})

t.test('a server that is away: the last list counts until it expires, then nothing is let through', async (t) => {
  const { check, outcome, platform, warnings } = await verify(t)
  const [good, ended] = [await serviceToken(), await serviceToken()]
  await revokeAt(server, service, ended)
  t.same([await outcome(good), await outcome(ended)], ['ok', 'revoked'])
  platform.away = true
  server.clock.advance(2 * ttl)
  t.same([await outcome(good), await outcome(ended)], ['ok', 'revoked'], 'two ttl and a minute is what the server says')
  t.match(warnings, [/status list could not be fetched/])
  server.clock.advance(65)
  t.match(await check(good), { ok: false, status: 503, reason: 'status_list_unavailable' })
  platform.away = false
  server.clock.advance(1)
  t.same([await outcome(good), await outcome(ended)], ['ok', 'revoked'])
})
