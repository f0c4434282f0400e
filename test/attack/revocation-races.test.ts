import pg from 'pg'
import t from 'tap'
import { setPassword } from '../../src/identity/index.js'
import { revoke } from '../../src/revocation/index.js'
import { authorizationUrl, redirectUri, signedIn } from '../support/authorization.js'
import { verifier } from '../support/grants.js'
import type { TestServer } from '../support/server.js'
import { apiIdentifier, application, introspect, openScene, postAs, revokeAt, tokensFor } from '../support/tokens.js'

const scene = await openScene(t)
const { server, api, user } = scene
const by = { actor: 'operator' }
const cause = { ...by, reason: 'test' }

/** Runs the work while every revocation waits for its turn, as behind others; then lets them go. */
async function whileRevocationsWait<Result>({ databaseUrl }: TestServer, work: () => Promise<Result>): Promise<Result> {
  const holder = new pg.Client({ connectionString: databaseUrl })
  await holder.connect()
  try {
    await holder.query('SELECT pg_advisory_lock(7236402)')
    return await work()
  } finally {
    await holder.end()
  }
}

t.test('attack 86: a session that is being revoked leaves no grant behind', async (t) => {
  const endings: Readonly<Record<string, (userId: string) => Promise<void>>> = {
    'the revocation of the user': (userId) => revoke(server.ctx, { kind: 'user', userId }, cause),
    'another password': (userId) => setPassword(server.ctx, userId, 'a new horse battery', by),
  }
  const shop = await server.createClient({ ...application, first_party: true })
  for (const [index, [name, end]] of Object.entries(endings).entries()) {
    const someone = await server.createUser(`someone${index}@example.com`)
    const browser = await signedIn(server, someone)
    server.clock.advance(60)
    const { ending, code } = await whileRevocationsWait(server, async () => {
      const ending = end(someone.id)
      server.clock.advance(0.005)
      const page = await browser.open(authorizationUrl(shop, { scope: 'read offline_access' }))
      return { ending, code: page.answer['code'] ?? '' }
    })
    await ending
    t.not(code, '', 'the session stood when the code was issued')
    const form = { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier }
    const reply = await postAs(server, shop, '/token', form)
    t.equal(reply.statusCode, 400, name)
    t.match(reply.json(), { error: 'invalid_grant' }, name)
  }
})

t.test('attack 86: a consent that is given while the user is being revoked is asked for again', async (t) => {
  const shop = await server.createClient({ ...application, scope: 'read' })
  const someone = await server.createUser('consenting@example.com')
  const browser = await signedIn(server, someone)
  server.clock.advance(60)
  const { ending, decided } = await whileRevocationsWait(server, async () => {
    const ending = revoke(server.ctx, { kind: 'user', userId: someone.id }, cause)
    server.clock.advance(0.005)
    const page = await browser.open(authorizationUrl(shop, { scope: 'read' }))
    t.equal(page.step, 'consent')
    return { ending, decided: await browser.submit(page, {}, { button: 'consent-allow' }) }
  })
  await ending
  t.match(decided.answer, { code: /^oac_/ }, 'the session stood when it was given')

  server.clock.advance(60)
  const again = await signedIn(server, someone)
  const page = await again.open(authorizationUrl(shop, { scope: 'read' }))
  t.equal(page.step, 'consent', 'whoever was thrown out has decided nothing')
  t.match((await again.submit(page, {}, { button: 'consent-allow' })).answer, { code: /^oac_/ })
  t.match((await again.open(authorizationUrl(shop, { scope: 'read' }))).answer, { code: /^oac_/ }, 'this one stands')
})

t.test('attack 86: a token that is revoked again and again is one event', async (t) => {
  const opaque = await server.createResource('https://opaque.example', 'look', { tokenFormat: 'opaque' })
  const app = await server.createClient({ ...application, scope: 'read look' })
  const inScene = { ...scene, client: app }
  for (const [scope, resource, owner] of [
    ['read', apiIdentifier, api],
    ['look', 'https://opaque.example', opaque],
  ] as const) {
    const { access_token, issued } = await tokensFor(inScene, { scope: [scope], resources: [resource] })
    for (let times = 0; times < 3; times++) t.equal((await revokeAt(server, app, access_token)).statusCode, 200)
    t.same(await introspect(server, owner, access_token), { active: false })
    const events = (await server.audit('token.revoked')).filter(({ grantId }) => grantId === issued.grantId)
    t.match(events, [{ actor: `client:${app.clientId}`, subject: user.id, reason: 'revoked_by_client' }])
    t.equal(events.length, 1)
  }
})
