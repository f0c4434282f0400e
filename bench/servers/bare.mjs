// The ceilings: Fastify with nothing but what the answer takes. No client is authenticated, nothing is checked.

import { createHash, createPublicKey, generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto'
import formbody from '@fastify/formbody'
import Fastify from 'fastify'
import pg from 'pg'
import { encode, formJob, serve } from './child.mjs'

const audience = 'https://api.example.com'
const issuer = 'http://localhost:3000'
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const kid = randomUUID()
const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }

/** About as long as the server's. */
const metadata = Buffer.from(
  JSON.stringify({ issuer, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/jwks`, padding: 'x'.repeat(1_200) }),
)

/** All signatures of one turn of the event loop in one run. */
function createSigner() {
  const queue = []
  const run = () => {
    for (const { data, resolve } of queue.splice(0, 64)) {
      resolve(sign('sha256', data, { key: privateKey, dsaEncoding: 'ieee-p1363' }))
    }
    if (queue.length > 0) setImmediate(run)
  }
  return (data) =>
    new Promise((resolve) => {
      queue.push({ data, resolve })
      if (queue.length === 1) setImmediate(run)
    })
}

const signOne = createSigner()
const header = Buffer.from(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid })).toString('base64url')

async function signToken() {
  const iat = Math.floor(Date.now() / 1000)
  const claims = { iss: issuer, jti: randomUUID(), client_id: 'svc', sub: 'svc', aud: audience, iat, exp: iat + 600 }
  const text = `${header}.${Buffer.from(JSON.stringify({ ...claims, scope: 'read' })).toString('base64url')}`
  return `${text}.${(await signOne(Buffer.from(text))).toString('base64url')}`
}

const hashOf = (token) => createHash('sha256').update(token).digest()

const rotateAll = `
  WITH input AS (
    SELECT * FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS i (hash, successor, n)
  ), used AS (
    UPDATE bench_token t SET used_at = $3, successor = i.successor
      FROM input i WHERE t.hash = i.hash AND t.used_at IS NULL
    RETURNING i.n, i.successor, t.grant_id
  ), added AS (
    INSERT INTO bench_token (hash, grant_id) SELECT successor, grant_id FROM used
  )
  SELECT n FROM used`

/** All rotations of one turn in one statement, two statements at once. */
function createRotation(pool) {
  const queue = []
  let running = 0
  let scheduled = false
  const schedule = () => {
    if (scheduled || running >= 2 || queue.length === 0) return
    scheduled = true
    setImmediate(flush)
  }
  const flush = () => {
    scheduled = false
    const items = queue.splice(0, 256)
    running++
    run(items)
      .catch((error) => {
        for (const { reject } of items) reject(error)
      })
      .finally(() => {
        running--
        schedule()
      })
    schedule()
  }
  const run = async (items) => {
    const values = [items.map(({ hash }) => hash), items.map(({ successor }) => successor), new Date()]
    const { rows } = await pool.query({ name: 'rotate', text: rotateAll, values })
    const won = new Set(rows.map(({ n }) => Number(n)))
    for (const [index, { resolve }] of items.entries()) resolve(won.has(index + 1))
  }
  return (hash, successor) =>
    new Promise((resolve, reject) => {
      queue.push({ hash, successor, resolve, reject })
      schedule()
    })
}

async function prepareRotation(databaseUrl, chains) {
  // Else a plan that was made while the table was small scans all of it once it has grown.
  const options = ['seqscan', 'hashjoin', 'mergejoin'].map((plan) => `-c enable_${plan}=off`).join(' ')
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 4,
    options: `${options} -c plan_cache_mode=force_generic_plan`,
  })
  await pool.query(`
    CREATE TABLE bench_token (hash bytea PRIMARY KEY, grant_id uuid NOT NULL, used_at timestamptz, successor bytea)`)
  const tokens = Array.from({ length: chains }, () => randomBytes(32).toString('base64url'))
  await pool.query('INSERT INTO bench_token (hash, grant_id) SELECT unnest($1::bytea[]), gen_random_uuid()', [
    tokens.map(hashOf),
  ])
  return { rotate: createRotation(pool), tokens }
}

serve(async ({ databaseUrl, prepare, chains }) => {
  const app = Fastify({ logger: false })
  await app.register(formbody)
  const { rotate, tokens } = prepare === 'refresh' ? await prepareRotation(databaseUrl, chains) : {}

  app.post('/token', async ({ body }, reply) => {
    reply.header('cache-control', 'no-store')
    const answer = { token_type: 'Bearer', expires_in: 600, scope: 'read' }
    if (body.grant_type !== 'refresh_token') return { access_token: await signToken(), ...answer }
    const refreshToken = randomBytes(32).toString('base64url')
    if (!(await rotate(hashOf(body.refresh_token), hashOf(refreshToken)))) {
      return reply.code(400).send({ error: 'invalid_grant' })
    }
    return { access_token: await signToken(), refresh_token: refreshToken, ...answer }
  })
  const claims = { client_id: 'svc', sub: 'svc', aud: audience, iss: issuer, iat: 1, exp: 2, scope: 'read' }
  app.post('/introspect', async ({ body }) => ({ active: body.token.length > 0, token_type: 'Bearer', ...claims }))
  const jwks = Buffer.from(JSON.stringify({ keys: [jwk] }))
  app.get('/jwks', (_request, reply) => reply.type('application/jwk-set+json').send(jwks))
  app.get('/metadata', (_request, reply) => reply.type('application/json').send(metadata))
  await app.listen({ host: '127.0.0.1', port: 0 })

  const secret = randomBytes(32).toString('base64url')
  const client = { client_id: 'svc', client_secret: secret }
  const verify = { jwks: '/jwks', audience }
  return {
    port: app.server.address().port,
    jobs: {
      clientCredentials: formJob(
        '/token',
        { grant_type: 'client_credentials', ...client, scope: 'read', resource: audience },
        { job: { verify } },
      ),
      refresh: formJob(
        '/token',
        {},
        {
          job: { verify, chain: { form: encode({ grant_type: 'refresh_token', ...client }), tokens } },
        },
      ),
      introspect: formJob('/introspect', { ...client, token: await signToken() }, { job: { active: true } }),
      jwks: { method: 'GET', path: '/jwks' },
      metadata: { method: 'GET', path: '/metadata' },
    },
  }
})
