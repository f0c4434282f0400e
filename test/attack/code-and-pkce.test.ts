import t, { type Test } from 'tap'
import { disableUser } from '../../src/identity/index.js'
import { sha256 } from '../../src/platform/crypto/hash.js'
import { authorizationUrl, redirectUri } from '../support/authorization.js'
import { challenge, verifier } from '../support/grants.js'
import { refused } from '../support/refused.js'
import { createTestServer, sql } from '../support/server.js'
import {
  application,
  codeFor,
  introspect,
  lookupsOf,
  openScene,
  postAs,
  redeem,
  refresh,
  tokensFor,
} from '../support/tokens.js'

const scene = await openScene(t)
const { server, client, api } = scene
const invalidGrant = { error: 'invalid_grant', error_description: 'The code is invalid.' }

/** Refused like any other, and no token was made for the grant. */
async function isRefused(t: Test, reply: { statusCode: number; json: () => unknown }, message: string): Promise<void> {
  t.equal(reply.statusCode, 400, message)
  t.same(reply.json(), invalidGrant, message)
}

async function hasNoToken(t: Test, grantId: string, message: string): Promise<void> {
  t.same(await sql(server, 'SELECT 1 FROM refresh_token WHERE grant_id = $1', [grantId]), [], message)
}

t.test(
  'attack 11: a token request with another redirect URI gets nothing, and one attempt is all there is',
  async (t) => {
    for (const redirect_uri of [
      'https://app.example.evil.tld/cb',
      'https://app.example@evil.tld/cb',
      'https://app.example/cb/../x',
      'HTTPS://app.example/cb',
      'https://app.example:443/cb',
      'https://app.example/cb#',
      'https://app.example/other',
      '',
    ]) {
      const issued = await codeFor(scene)
      await isRefused(t, await redeem(server, client, issued, { redirect_uri }), redirect_uri || 'none')
      await isRefused(t, await redeem(server, client, issued), 'the right one comes too late')
      await hasNoToken(t, issued.grantId, 'no token, ever')
    }
    const issued = await codeFor(scene)
    const twice = await redeem(server, client, issued, { redirect_uri: [redirectUri, 'https://evil.example/cb'] })
    t.match(twice.json(), { error: 'invalid_request' }, 'two of them')
  },
)

t.test('attack 41: no verifier where a challenge was sent', async (t) => {
  for (const code_verifier of [undefined, '']) {
    const issued = await codeFor(scene)
    const { code_verifier: _, ...form } = issued.form
    const more: Readonly<Record<string, string>> = code_verifier === undefined ? {} : { code_verifier }
    await isRefused(t, await redeem(server, client, { form }, more), 'none')
    await isRefused(t, await redeem(server, client, issued), 'the code is spent')
    await hasNoToken(t, issued.grantId, 'no token')
  }
})

t.test('attack 42: a verifier where no challenge was sent', async (t) => {
  const exempted = await server.createClient({ ...application, require_pkce: false })
  const issued = await codeFor({ ...scene, client: exempted }, { codeChallenge: undefined })
  await isRefused(t, await redeem(server, exempted, issued, { code_verifier: verifier }), 'a challenge was stripped')
  await isRefused(t, await redeem(server, exempted, issued), 'the code is spent')
  await hasNoToken(t, issued.grantId, 'no token')
})

/** Where an authorization request that went wrong sends its error. */
async function errorOf(parameters: Parameters<typeof authorizationUrl>[1], of = client) {
  const reply = await server.get(authorizationUrl(of, parameters))
  const location = new URL(String(reply.headers['location'] ?? 'none:'))
  return { status: reply.statusCode, ...Object.fromEntries(location.searchParams) }
}

t.test('attack 43: the method plain', async (t) => {
  const expected = { status: 303, error: 'invalid_request', iss: 'http://localhost:3000' }
  t.match(await errorOf({ code_challenge: verifier, code_challenge_method: 'plain' }), expected)
  t.match(await errorOf({ code_challenge_method: undefined }), expected, 'which is what none means')
  t.match(await errorOf({ code_challenge_method: 's256' }), expected)
  // Whatever was stored as a challenge is compared as S256.
  const issued = await codeFor(scene, { codeChallenge: verifier })
  await isRefused(t, await redeem(server, client, issued), 'a verifier that is the challenge')
})

t.test('attack 44: a client without PKCE', async (t) => {
  const spa = await server.createClient({ ...application, token_endpoint_auth_method: 'none' })
  const none = { code_challenge: undefined, code_challenge_method: undefined }
  for (const of of [spa, client]) t.match(await errorOf(none, of), { status: 303, error: 'invalid_request' })
  for (const code_challenge of ['', 'short', 'x'.repeat(44), `${challenge}=`]) {
    t.match(await errorOf({ code_challenge }, spa), { status: 303, error: 'invalid_request' }, code_challenge)
  }
  const metadata = { redirect_uris: [redirectUri], token_endpoint_auth_method: 'none', require_pkce: false }
  await refused(t, server.createClient(metadata), { code: 'invalid_client_metadata' }, 'nor can it be exempted')
})

t.test('attack 45: a verifier of the wrong length or characters', async (t) => {
  for (const code_verifier of [
    'x'.repeat(42),
    'x'.repeat(129),
    `${verifier.slice(0, -1)}+`,
    `${verifier.slice(0, -1)}/`,
    `${verifier.slice(0, -1)}=`,
    `${verifier.slice(0, -1)}é`,
    ` ${verifier}`,
    `${verifier} `,
  ]) {
    const issued = await codeFor(scene)
    await isRefused(t, await redeem(server, client, issued, { code_verifier }), code_verifier)
  }
  // Right by its hash alone, and of 42 characters.
  const short = 'y'.repeat(42)
  const issued = await codeFor(scene, { codeChallenge: sha256(short).toString('base64url') })
  await isRefused(t, await redeem(server, client, issued, { code_verifier: short }), 'too short, and right')
})

t.test('attack 46: the challenge as its own verifier', async (t) => {
  const issued = await codeFor(scene)
  await isRefused(t, await redeem(server, client, issued, { code_verifier: challenge }), 'the challenge')
  await hasNoToken(t, issued.grantId, 'no token')
})

t.test('attack 47: the code of one client redeemed by another', async (t) => {
  const other = await server.createClient(application)
  const issued = await codeFor(scene)
  await isRefused(t, await redeem(server, other, issued), 'before its owner')
  const tokens = (await redeem(server, client, issued)).json()
  t.match(tokens, { token_type: 'Bearer' }, 'the owner is not shut out')
  await isRefused(t, await redeem(server, other, issued), 'after its owner')

  t.match(await introspect(server, api, tokens.access_token), { active: true }, 'the owner’s tokens are not ended')
  t.equal((await refresh(server, client, tokens.refresh_token)).statusCode, 200)
  const refused = (await server.audit('code.refused')).filter(({ grantId }) => grantId === issued.grantId)
  t.match(refused, [
    { clientId: other.clientId, actor: `client:${other.clientId}`, reason: 'code_of_another_client', ip: '127.0.0.1' },
    { clientId: other.clientId },
  ])
})

t.test('attack 48: a second valid redemption ends what the first one gave', async (t) => {
  const { issued, ...tokens } = await tokensFor(scene)
  await isRefused(t, await redeem(server, client, issued), 'the replay')
  t.same(await introspect(server, api, tokens.access_token), { active: false })
  t.match((await refresh(server, client, tokens.refresh_token)).json(), { error: 'invalid_grant' })
  t.match(
    (await server.audit('grant.revoked')).filter(({ grantId }) => grantId === issued.grantId),
    [{ reason: 'code_replayed', actor: `client:${client.clientId}` }],
  )
})

t.test('attack 48: a replay that is wrong in a part ends nothing', async (t) => {
  const { issued, ...tokens } = await tokensFor(scene)
  await isRefused(t, await redeem(server, client, issued, { code_verifier: 'x'.repeat(43) }), 'without the verifier')
  await isRefused(t, await redeem(server, client, issued, { redirect_uri: 'https://evil.example' }), 'elsewhere')
  t.match(await introspect(server, api, tokens.access_token), { active: true })
  t.equal((await refresh(server, client, tokens.refresh_token)).statusCode, 200)
})

t.test('attack 49: of 200 redemptions at once, at two servers, one is answered', async (t) => {
  const beside = await createTestServer(t, { beside: server })
  const issued = await codeFor(scene)
  const replies = await Promise.all(
    Array.from({ length: 200 }, (_, index) => redeem(index % 2 ? beside : server, client, issued)),
  )
  const [winner, ...more] = replies.filter(({ statusCode }) => statusCode === 200)
  t.ok(winner)
  t.equal(more.length, 0)
  t.ok(replies.every((reply) => reply === winner || reply.json().error === 'invalid_grant'))
  const rows = await sql(server, 'SELECT 1 FROM refresh_token WHERE grant_id = $1', [issued.grantId])
  t.equal(rows.length, 1, 'and only its tokens were written')
  // The code was in two hands: OAuth 2.1 §4.1.3.
  t.same(await introspect(beside, api, winner?.json().access_token), { active: false })
})

t.test('attack 50: a code after its minute', async (t) => {
  const issued = await codeFor(scene)
  server.clock.advance(60)
  await isRefused(t, await redeem(server, client, issued), 'after sixty seconds')
  server.clock.advance(86_400)
  await isRefused(t, await redeem(server, client, issued), 'a day later')
  await hasNoToken(t, issued.grantId, 'no token')
})

t.test('attack 51: the user is disabled before the redemption', async (t) => {
  const someone = await server.createUser('disabled@example.com')
  const issued = await codeFor({ ...scene, user: someone })
  await disableUser(server.ctx, someone.id, { actor: 'operator' })
  await isRefused(t, await redeem(server, client, issued), 'disabled')
  await hasNoToken(t, issued.grantId, 'no token')
})

t.test('attack 52: a code that was cut, flipped or written in other letters', async (t) => {
  const issued = await codeFor(scene)
  const { code } = issued
  const [prefix = '', bucket = ''] = code.split('_')
  const rest = code.slice(-43)
  const swapCase = (text: string) =>
    [...text].map((c) => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase())).join('')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet[alphabet.indexOf(code.at(-1) ?? '') ^ 1]
  const variants = [
    code.slice(0, -1),
    code.slice(1),
    `${code}A`,
    `${code}=`,
    ` ${code}`,
    `${code} `,
    // The bit that base64 does not use.
    code.slice(0, -1) + last,
    code.replace('oac_', 'oat_'),
    code.replace('oac_', 'OAC_'),
    `${prefix}_${bucket}_${swapCase(rest)}`,
    `${prefix}_0${bucket}_${rest}`,
    `${prefix}_${bucket.toUpperCase()}_${rest}`,
    `${prefix}_zzzzzz_${rest}`,
    rest,
  ].filter((variant) => variant !== code)
  for (const variant of variants) await isRefused(t, await redeem(server, client, issued, { code: variant }), variant)
  t.equal((await redeem(server, client, issued)).statusCode, 200, 'the right one is as good as before')
})

t.test('attack 53: wildcards of SQL in a code', async (t) => {
  const issued = await codeFor(scene)
  const bucket = issued.code.split('_')[1]
  for (const code of [
    '%',
    '_',
    `oac_${bucket}_%`,
    `oac_${bucket}_${'_'.repeat(42)}%`,
    `oac_%_${'_'.repeat(43)}`,
    `oac_${bucket}_' OR '1'='1`,
    `oac_${bucket}_${'x'.repeat(43)}' --`,
    "'; DROP TABLE authorization_code; --",
  ]) {
    const statements = await lookupsOf(server, async () => {
      await isRefused(t, await redeem(server, client, issued, { code }), code)
    })
    t.same(statements, [], 'what we cannot have drawn is never looked up')
  }
  await isRefused(t, await redeem(server, client, issued, { code: `oac_${bucket}_${'_'.repeat(43)}` }), 'well-formed')
  const list = await postAs(server, client, '/token', { ...issued.form, code: [issued.code, '%'] })
  t.match(list.json(), { error: 'invalid_request' })
  t.equal((await redeem(server, client, issued)).statusCode, 200)
})
