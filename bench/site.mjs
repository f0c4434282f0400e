// An installation of this server with the data of the scenarios, and the requests that load it: by the server's own
// modules, as `npm run build` has made them.

import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { createApiKey } from '../dist/api-keys/index.js'
import { createResource, registerClient } from '../dist/clients/index.js'
import { createUser } from '../dist/identity/index.js'
import { createTier } from '../dist/limits/index.js'
import { openContext } from '../dist/open-context.js'
import { loadConfig } from '../dist/platform/config/index.js'
import { createLogger } from '../dist/platform/log.js'
import { grantTypes } from '../dist/protocol/token/index.js'
import { dayBucket, grants, partitions, weekBucket } from '../dist/store/index.js'
import { migrateDatabase } from '../dist/store/migrations.js'
import { drawOpaque } from '../dist/tokens/index.js'
import { collect, createAgent, encode, formHeaders, formJob, send } from './http.mjs'

export const redirectUri = 'https://app.example.com/cb'
export const password = 'several plain words here'
const verifier = randomBytes(32).toString('base64url')
const challenge = createHash('sha256').update(verifier).digest('base64url')
const by = { actor: 'operator' }
const registration = { by, grantTypes: grantTypes.map(({ name }) => name) }
const day = 86_400_000

/** Who signs in: one account has one login under way at a time. */
const accountCount = 64

/**
 * @param tag sets apart the installations that share a database: a ceiling, a server, and one on another Node.js
 * @param follow true in the process that serves
 * @param env settings besides
 */
export async function openSite({ databaseUrl, masterKey, tag, follow = false, env = {} }) {
  const now = new Date()
  await migrateDatabase(databaseUrl, now)
  const { config } = loadConfig({
    env: {
      ...{ DATABASE_URL: databaseUrl, MASTER_KEY: masterKey, LOG_LEVEL: 'warn' },
      // Everybody signs in from one address.
      INTERACTIONS_PER_NETWORK: '100000',
      ...env,
    },
  })
  const log = createLogger({ level: config.log.level, pretty: false })
  const ctx = await openContext({ config, log, databaseUrl, follow })
  await partitions.ensurePartitions(ctx.db.pool, await partitions.horizonOf(ctx.db, config), now)

  const audience = `https://api.${tag}.example.com`
  const opaqueAudience = `https://opaque.${tag}.example.com`
  const api = await createResource(ctx, audience, { scopes: [{ name: `${tag}:read` }] }, by)
  const opaque = { tokenFormat: 'opaque', scopes: [{ name: `${tag}:peek` }] }
  const opaqueApi = await createResource(ctx, opaqueAudience, opaque, by)
  await ctx.refresh()
  const scope = `${tag}:read`
  const service = await register(ctx, {
    grant_types: ['client_credentials'],
    scope: `${scope} ${tag}:peek`,
    default_scope: scope,
  })
  // One that no run reaches: what is measured is what it costs to count.
  await createTier(ctx, `${tag}-tier`, { limit: 100_000, window: 1 }, by)
  const limited = await register(ctx, {
    grant_types: ['client_credentials'],
    scope,
    default_scope: scope,
    rate_tier: `${tag}-tier`,
  })
  const web = await register(ctx, {
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [redirectUri],
    scope,
    default_scope: scope,
    first_party: true,
  })
  // The same as an OpenID Connect client, by each algorithm of its ID tokens.
  const identified = {}
  for (const alg of ['ES256', 'RS256']) {
    identified[alg] = await register(ctx, {
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [redirectUri],
      scope: `openid profile email ${scope}`,
      first_party: true,
      id_token_signed_response_alg: alg,
    })
  }
  const user = await createUser(ctx, { email: `ada@${tag}.example.com`, name: 'Ada' }, by)
  const close = () => ctx.close()
  return { ctx, audience, opaqueAudience, api, opaqueApi, scope, tag, service, limited, web, identified, user, close }
}

async function register(ctx, metadata) {
  const wanted = { ...metadata, token_endpoint_auth_method: 'client_secret_post' }
  const { client, clientSecret } = await registerClient(ctx, wanted, registration)
  return { client_id: client.clientId, client_secret: clientSecret }
}

/** The requests that need nothing but a server. */
export function plainJobs(site) {
  const { service, limited, web, scope, audience } = site
  const tokens = { jwks: '/jwks', audience }
  const form = { grant_type: 'client_credentials', ...service, scope, resource: audience }
  return {
    clientCredentials: formJob('/token', form, { job: { expect: { kind: 'token', ...tokens } } }),
    clientCredentialsLimited: formJob(
      '/token',
      { ...form, ...limited },
      { job: { expect: { kind: 'token', ...tokens } } },
    ),
    jwks: { method: 'GET', path: '/jwks', expect: { kind: 'static', has: ['keys'] } },
    metadata: {
      method: 'GET',
      path: '/.well-known/oauth-authorization-server',
      expect: { kind: 'static', has: ['issuer', 'token_endpoint'] },
    },
    refresh: {
      ...formJob('/token', {}, { job: { expect: { kind: 'refresh', ...tokens } } }),
      form: encode({ grant_type: 'refresh_token', ...web }),
      stock: 'chains',
    },
    redeem: {
      ...formJob('/token', {}, { job: { expect: { kind: 'refresh', ...tokens } } }),
      form: encode(redemption(site)),
      stock: 'codes',
    },
    redeemES256: redeemIdentified(site, 'ES256'),
    redeemRS256: redeemIdentified(site, 'RS256'),
    register: {
      method: 'POST',
      path: '/register',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ client_name: 'Bench', redirect_uris: [redirectUri] }),
      expect: { kind: 'registered' },
    },
  }
}

/** `codesES256` and `codesRS256` are made ahead. */
function redeemIdentified({ identified }, alg) {
  const expect = { kind: 'refresh', jwks: '/jwks', idToken: alg, client: identified[alg].client_id }
  return { ...formJob('/token', {}, { job: { expect } }), stock: `codes${alg}` }
}

const redemption = ({ web }, client = web) => ({
  grant_type: 'authorization_code',
  ...client,
  redirect_uri: redirectUri,
  code_verifier: verifier,
})

/** More than a server remembers signatures of, so that each is verified anew when its turn comes again. */
const freshTokens = 20_000
const opaqueTokens = 1_000
const keyCount = 64

/** The introspection of one token again and again, of many, and of opaque ones. The server serves already. */
export async function introspectionJobs(site, origin) {
  const { service, scope, audience, opaqueAudience, tag, api, opaqueApi } = site
  const form = { grant_type: 'client_credentials', ...service }
  const fresh = await collectTokens(freshTokens, origin, { ...form, scope, resource: audience })
  const opaque = await collectTokens(opaqueTokens, origin, { ...form, scope: `${tag}:peek`, resource: opaqueAudience })
  const keys = await makeKeys(site)
  const job = ({ resource, clientSecret }, tokens) => ({
    ...formJob(
      '/introspect',
      { token: tokens[0] },
      { headers: { authorization: `Basic ${Buffer.from(`${resource.clientId}:${clientSecret}`).toString('base64')}` } },
    ),
    ...(tokens[1] && { bodies: tokens.map((token) => encode({ token })) }),
    expect: { kind: 'active' },
  })
  return {
    introspectSame: job(api, fresh.slice(0, 1)),
    introspectFresh: job(api, fresh),
    introspectOpaque: job(opaqueApi, opaque),
    introspectKeys: job(api, keys),
  }
}

/** UserInfo by one token again and again, and by many. The server serves already. */
export async function userInfoJobs(site, origin) {
  const agent = createAgent()
  try {
    const [{ body }] = await stockCodes(site, 1, 'ES256')
    const { status, text } = await send(agent, origin, { method: 'POST', path: '/token', headers: formHeaders, body })
    if (status !== 200) throw new Error(`${status}: ${text}`)
    const token = JSON.parse(text).access_token
    const job = { method: 'GET', path: '/userinfo', expect: { kind: 'person' } }
    // As if the same login had got them one after the other: signed by the server's own key.
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString())
    const another = () => site.ctx.keys.sign({ ...claims, jti: randomUUID() }, { alg: 'ES256', typ: 'at+jwt' })
    return {
      userInfo: { ...job, headers: { authorization: `Bearer ${token}` } },
      userInfoFresh: { ...job, tokens: await collect(freshTokens, another) },
    }
  } finally {
    agent.destroy()
  }
}

/** The exchange of keys in turn. */
export async function exchangeJobs(site) {
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ostiary:params:oauth:token-type:api-key',
  }
  const bodies = (await makeKeys(site)).map((key) => encode({ ...form, subject_token: key }))
  const expect = { kind: 'token', jwks: '/jwks', audience: site.audience }
  return { exchange: { ...formJob('/token', form, { job: { expect } }), bodies } }
}

async function makeKeys({ ctx, service, scope }) {
  const owner = { kind: 'client', id: service.client_id }
  const keys = []
  while (keys.length < keyCount) keys.push((await createApiKey(ctx, { owner, name: 'Bench', scope: [scope] }, by)).text)
  return keys
}

/** Tokens of /token, by the same form. */
export async function collectTokens(count, origin, form) {
  const agent = createAgent()
  try {
    return await collect(count, async () => (await post(agent, origin, form)).access_token)
  } finally {
    agent.destroy()
  }
}

async function post(agent, origin, form) {
  const request = { method: 'POST', path: '/token', headers: formHeaders, body: encode(form) }
  const { status, text } = await send(agent, origin, request)
  if (status !== 200) throw new Error(`${status}: ${text}`)
  return JSON.parse(text)
}

/** The login of accounts that have a password, to the redirect of an application that asks for no consent. */
export async function loginJobs(site) {
  const { ctx, web, scope, audience, tag } = site
  const accounts = Array.from({ length: accountCount }, (_, index) => ({
    username: `user${index}@${tag}.example.com`,
    password,
  }))
  await Promise.all(accounts.map(({ username }) => createUser(ctx, { email: username, password }, by)))
  const query = encode({
    response_type: 'code',
    client_id: web.client_id,
    redirect_uri: redirectUri,
    scope,
    resource: audience,
    state: 'a-state-of-the-client',
    code_challenge: challenge,
    code_challenge_method: 'S256',
  })
  const { code: _, ...redeem } = redemption(site)
  const expect = { kind: 'login', redirectUri, redeem, jwks: '/jwks', audience }
  return { login: { method: 'POST', expect, stock: 'logins', login: { path: `/authorize?${query}`, accounts } } }
}

/** Codes as /authorize gives them after login and consent, as bodies of requests. They live an hour: a round is short. */
export async function stockCodes(site, count, alg) {
  const client = alg ? site.identified[alg] : site.web
  const scope = alg ? ['openid', 'profile', 'email', site.scope] : [site.scope]
  const form = encode(redemption(site, client))
  const session = await createSession(site)
  const codes = []
  while (codes.length < count) {
    const batch = Array.from({ length: Math.min(512, count - codes.length) }, () =>
      issueCode(site, session, client, scope),
    )
    codes.push(...(await Promise.all(batch)))
  }
  return codes.map((code) => ({ body: `${form}&code=${code}` }))
}

/** Refresh tokens of as many grants, by redeeming a code for each. */
export async function stockChains(site, count, origin, path = '/token') {
  const agent = createAgent()
  try {
    const bodies = await stockCodes(site, count)
    return await collect(count, async () => {
      const request = { method: 'POST', path, headers: formHeaders, ...bodies.pop() }
      const { status, text } = await send(agent, origin, request)
      if (status !== 200) throw new Error(`${status}: ${text}`)
      return JSON.parse(text).refresh_token
    })
  } finally {
    agent.destroy()
  }
}

async function createSession({ ctx, user }) {
  const now = ctx.clock.now()
  const expiresAt = new Date(now.getTime() + 7 * day)
  const { bucket, hash } = drawOpaque(ctx, 'oss', weekBucket(expiresAt))
  const session = { bucket, id: ctx.random.uuid() }
  await ctx.db.pool.query(
    `INSERT INTO session (bucket, token_hash, id, user_id, auth_time, created_at, expires_at, idle_expires_at)
     VALUES ($1, $2, $3, $4, $5, $5, $6, $6)`,
    [bucket, hash, session.id, user.id, now, expiresAt],
  )
  return session
}

/** When a grant of now ends: its bucket is that of its tokens. */
export const grantEnd = (now) => new Date(now.getTime() + 30 * day)

async function issueCode({ ctx, user, audience }, session, client, scope) {
  const now = ctx.clock.now()
  const expiresAt = grantEnd(now)
  const codeEnd = new Date(now.getTime() + 3_600_000)
  const code = drawOpaque(ctx, 'oac', dayBucket(codeEnd))
  const outcome = await grants.create(ctx.db, {
    grant: {
      bucket: weekBucket(expiresAt),
      id: ctx.random.uuid(),
      clientId: client.client_id,
      userId: user.id,
      session,
      scope,
      resources: [audience],
      offline: false,
      authTime: now,
      createdAt: now,
      expiresAt,
    },
    code: { bucket: code.bucket, hash: code.hash, redirectUri, codeChallenge: challenge, expiresAt: codeEnd },
    event: { id: ctx.random.uuid(), time: now, type: 'code.issued', actor: `user:${user.id}` },
  })
  if (outcome !== 'created') throw new Error(`the grant was not created: ${outcome}`)
  return code.value
}
