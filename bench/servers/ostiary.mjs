// This server as it is released: what `npm run build` has made, on a database of its own, with the data of the scenario.

import { createHash, randomBytes } from 'node:crypto'
import { createApp } from '../../dist/app.js'
import { createResource, registerClient } from '../../dist/clients/index.js'
import { createUser } from '../../dist/identity/index.js'
import { openContext } from '../../dist/open-context.js'
import { loadConfig } from '../../dist/platform/config/index.js'
import { createLogger } from '../../dist/platform/log.js'
import { grantTypes } from '../../dist/protocol/token/index.js'
import { dayBucket, grants, partitions, sessions, weekBucket } from '../../dist/store/index.js'
import { migrateDatabase } from '../../dist/store/migrations.js'
import { drawOpaque } from '../../dist/tokens/index.js'
import { encode, formHeaders, formJob, serve } from './child.mjs'

const audience = 'https://api.example.com'
const opaqueAudience = 'https://opaque.example.com'
const redirectUri = 'https://app.example.com/cb'
const verifier = randomBytes(32).toString('base64url')
const challenge = createHash('sha256').update(verifier).digest('base64url')
const by = { actor: 'operator' }
const registration = { by, grantTypes: grantTypes.map(({ name }) => name) }

/** More than the server remembers signatures of, so that each is verified anew when its turn comes again. */
const freshTokens = 20_000
const opaqueTokens = 1_000

serve(async ({ databaseUrl, prepare, chains }) => {
  const now = new Date()
  await migrateDatabase(databaseUrl, now)
  const env = { DATABASE_URL: databaseUrl, MASTER_KEY: randomBytes(32).toString('base64'), LOG_LEVEL: 'warn' }
  const { config } = loadConfig({ env })
  const log = createLogger({ level: config.log.level, pretty: false })
  const ctx = await openContext({ config, log, databaseUrl, follow: true })
  await partitions.ensurePartitions(ctx.db.pool, await partitions.horizonOf(ctx.db, config), now)

  const api = await createResource(ctx, audience, { scopes: [{ name: 'read' }] }, by)
  const opaqueApi = await createResource(ctx, opaqueAudience, { tokenFormat: 'opaque', scopes: [{ name: 'peek' }] }, by)
  await ctx.refresh()
  const service = await register(ctx, { grant_types: ['client_credentials'], scope: 'read peek' })
  const app = await createApp(ctx)
  await app.listen({ host: '127.0.0.1', port: 0 })

  const post = async (form) => {
    const answer = await app.inject({ method: 'POST', url: '/token', headers: formHeaders, payload: encode(form) })
    if (answer.statusCode !== 200) throw new Error(`${answer.statusCode}: ${answer.body}`)
    return answer.json()
  }
  const tokenForm = { grant_type: 'client_credentials', ...service, scope: 'read', resource: audience }
  const verify = { jwks: '/jwks', audience }
  const jobs = {
    clientCredentials: formJob('/token', tokenForm, { job: { verify } }),
    jwks: { method: 'GET', path: '/jwks' },
    metadata: { method: 'GET', path: '/.well-known/oauth-authorization-server' },
  }
  if (prepare === 'introspection') {
    const fresh = await collect(freshTokens, () => post(tokenForm))
    const opaque = await collect(opaqueTokens, () => post({ ...tokenForm, scope: 'peek', resource: opaqueAudience }))
    const introspection = ({ resource, clientSecret }, tokens) =>
      formJob(
        '/introspect',
        { token: tokens[0].access_token },
        {
          headers: { authorization: `Basic ${Buffer.from(`${resource.clientId}:${clientSecret}`).toString('base64')}` },
          job: {
            active: true,
            ...(tokens[1] && { bodies: tokens.map((token) => encode({ token: token.access_token })) }),
          },
        },
      )
    jobs.introspectSame = introspection(api, fresh.slice(0, 1))
    jobs.introspectFresh = introspection(api, fresh)
    jobs.introspectOpaque = introspection(opaqueApi, opaque)
  }
  if (prepare === 'refresh') {
    const web = await register(ctx, {
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [redirectUri],
      scope: 'read',
    })
    const user = await createUser(ctx, { email: 'ada@example.com', name: 'Ada' }, by)
    const answers = await collect(chains, async () =>
      post({
        grant_type: 'authorization_code',
        ...web,
        code: await issueCode(ctx, web.client_id, user.id),
        redirect_uri: redirectUri,
        code_verifier: verifier,
      }),
    )
    const tokens = answers.map((answer) => answer.refresh_token)
    const form = encode({ grant_type: 'refresh_token', ...web })
    jobs.refresh = formJob('/token', {}, { job: { verify, chain: { form, tokens } } })
  }
  return { port: app.server.address().port, jobs }
})

async function register(ctx, metadata) {
  const wanted = { ...metadata, default_scope: 'read', token_endpoint_auth_method: 'client_secret_post' }
  const { client, clientSecret } = await registerClient(ctx, wanted, registration)
  return { client_id: client.clientId, client_secret: clientSecret }
}

/** A code as /authorize gives it after login and consent. */
async function issueCode(ctx, clientId, userId) {
  const now = ctx.clock.now()
  const sessionEnd = new Date(now.getTime() + 7 * 86_400_000)
  const { bucket, hash } = drawOpaque(ctx, 'oss', weekBucket(sessionEnd))
  const session = { bucket, id: ctx.random.uuid() }
  await sessions.create(ctx.db, {
    ...session,
    tokenHash: hash,
    userId,
    authTime: now,
    createdAt: now,
    expiresAt: sessionEnd,
    idleExpiresAt: sessionEnd,
  })
  const expiresAt = new Date(now.getTime() + 30 * 86_400_000)
  const codeEnd = new Date(now.getTime() + 60_000)
  const code = drawOpaque(ctx, 'oac', dayBucket(codeEnd))
  const outcome = await grants.create(ctx.db, {
    grant: {
      bucket: weekBucket(expiresAt),
      id: ctx.random.uuid(),
      clientId,
      userId,
      session,
      scope: ['read'],
      resources: [audience],
      offline: false,
      authTime: now,
      createdAt: now,
      expiresAt,
    },
    code: { bucket: code.bucket, hash: code.hash, redirectUri, codeChallenge: challenge, expiresAt: codeEnd },
    event: { id: ctx.random.uuid(), time: now, type: 'code.issued', actor: `user:${userId}` },
  })
  if (outcome !== 'created') throw new Error(`the grant was not created: ${outcome}`)
  return code.value
}

/** 64 at a time. */
async function collect(count, make) {
  const made = []
  while (made.length < count) {
    made.push(...(await Promise.all(Array.from({ length: Math.min(64, count - made.length) }, make))))
  }
  return made
}
