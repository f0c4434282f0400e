import t from 'tap'
import { connect } from '../../packages/resource-server/src/connect.js'
import { explain } from '../../packages/resource-server/src/explain.js'
import {
  apiKey,
  basic,
  bearer,
  ConfigurationError,
  protect,
  signature,
} from '../../packages/resource-server/src/index.js'
import { readOptions } from '../../packages/resource-server/src/options.js'
import { audience, credentials, TestIssuer } from './support/issuer.js'

const issuer = await TestIssuer.start(t)
const gateway = { typ: 'gateway+jwt' }

t.test('what a gateway passes on is accepted where it is expected, and no access token is', async (t) => {
  const { check, outcome } = await issuer.protect(t, { tokens: 'gateway', credentials })
  const token = issuer.token({ credential: 'api_key' }, gateway)
  t.match(await check(token), { ok: true, token: { sub: 'user-1', claims: { credential: 'api_key' } } })
  t.equal(await outcome(issuer.token({}, { typ: 'application/gateway+jwt' })), 'ok')
  t.equal(await outcome(issuer.token()), 'type_wrong', 'attack 77: an access token came past the gateway')
  t.equal(await outcome(issuer.token({}, { typ: undefined })), 'type_wrong')
  t.equal(await outcome(issuer.token({ aud: 'https://other.example' }, gateway)), 'audience_wrong')
  const opaque = `oat_1_${'x'.repeat(43)}`
  issuer.opaque.set(opaque, { active: true, ...issuer.claims() })
  t.equal(await outcome(opaque), 'token_malformed', 'nor is one that the server would vouch for')
})

t.test('attack 77: where access tokens are expected it is none', async (t) => {
  const { outcome } = await issuer.protect(t)
  t.equal(await outcome(issuer.token({}, gateway)), 'type_wrong')
})

t.test('options that contradict each other are refused', async (t) => {
  const options = { issuer: issuer.issuer, audience, credentials }
  await t.rejects(protect({ ...options, tokens: 'gateway', onStale: 'introspect' }), ConfigurationError)
  for (const scheme of [apiKey(), basic(), signature({ origin: 'https://orders.example' })]) {
    const past = protect({ ...options, tokens: 'gateway', schemes: [bearer, scheme] })
    await t.rejects(past, ConfigurationError, `attack 77: ${scheme.name} goes past the gateway`)
  }
  await t.rejects(protect({ ...options, tokens: 'other' as 'gateway' }), ConfigurationError)
})

t.test('explain: what a gateway passes on, of which the server is asked nothing', async (t) => {
  const { platform } = issuer
  const settings = readOptions({ issuer: issuer.issuer, audience, credentials, platform, tokens: 'gateway' })
  const connection = await connect(settings, 'once')
  const outcomes = async (token: string) => {
    const found = await explain(token, settings, connection)
    return found.filter(({ outcome }) => outcome !== 'ok').map(({ name }) => name)
  }
  const before = platform.count('/introspect')
  t.same(await outcomes(issuer.token({ credential: 'api_key' }, gateway)), [])
  t.same(await outcomes(issuer.token()), ['typ'])
  t.same(await outcomes(`oat_1_${'x'.repeat(43)}`), ['form'])
  t.equal(platform.count('/introspect'), before)
})
