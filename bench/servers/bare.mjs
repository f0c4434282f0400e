// The ceilings: Fastify with nothing but what the answer takes. No client is authenticated, nothing is checked.

import { createPublicKey, generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto'
import { promisify } from 'node:util'
import formbody from '@fastify/formbody'
import Fastify from 'fastify'
import pg from 'pg'
import { formJob } from '../http.mjs'
import { prepareRotation } from './bare-rotation.mjs'
import { serve } from './child.mjs'
import { prepareSameStatements } from './same-statements.mjs'

const audience = 'https://api.example.com'
const issuer = 'http://localhost:3000'
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const rsaKid = randomUUID()
const kid = randomUUID()
const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }

const rsaJwk = { ...createPublicKey(rsa).export({ format: 'jwk' }), kid: rsaKid, alg: 'RS256', use: 'sig' }

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

const idHeader = (alg, kid) => Buffer.from(JSON.stringify({ alg, typ: 'JWT', kid })).toString('base64url')
const idHeaders = { ES256: idHeader('ES256', kid), RS256: idHeader('RS256', rsaKid) }
const signRsa = promisify(sign)

/** As the server makes one: RSA on the thread pool, the rest in the batch. */
async function signIdToken(alg, aud) {
  const iat = Math.floor(Date.now() / 1000)
  const claims = {
    iss: issuer,
    sub: 'ada',
    aud,
    iat,
    exp: iat + 3600,
    auth_time: iat,
    acr: '1',
    amr: ['pwd'],
    at_hash: 'x'.repeat(22),
  }
  const text = `${idHeaders[alg]}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
  const data = Buffer.from(text)
  const signature = alg === 'RS256' ? await signRsa('sha256', data, rsa) : await signOne(data)
  return `${text}.${signature.toString('base64url')}`
}

serve(async ({ databaseUrl, masterKey, prepare }) => {
  const app = Fastify({ logger: false })
  await app.register(formbody)
  const answer = { token_type: 'Bearer', expires_in: 600, scope: 'read' }
  const send = async (reply, more) => {
    reply.header('cache-control', 'no-store')
    return { access_token: await signToken(), ...answer, ...more }
  }
  app.post('/token', (_request, reply) => send(reply))
  const claims = { client_id: 'svc', sub: 'svc', aud: audience, iss: issuer, iat: 1, exp: 2, scope: 'read' }
  app.post('/introspect', async ({ body }) => ({ active: body.token.length > 0, token_type: 'Bearer', ...claims }))
  const jwks = Buffer.from(JSON.stringify({ keys: [jwk, rsaJwk] }))
  app.get('/jwks', (_request, reply) => reply.type('application/jwk-set+json').send(jwks))
  app.get('/fixed', async () => ({ active: true, token_type: 'Bearer', ...claims }))
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 10 })
  await pool.query('CREATE TABLE IF NOT EXISTS bench_client (id uuid PRIMARY KEY, metadata jsonb NOT NULL)')
  app.post('/register', async ({ body }, reply) => {
    const id = randomUUID()
    const values = [id, JSON.stringify(body)]
    await pool.query({ name: 'register', text: 'INSERT INTO bench_client (id, metadata) VALUES ($1, $2)', values })
    return reply.code(201).send({ client_id: id, client_secret: randomBytes(32).toString('base64url'), ...body })
  })
  app.get('/metadata', (_request, reply) => reply.type('application/json').send(metadata))

  const client = { client_id: 'svc', client_secret: randomBytes(32).toString('base64url') }
  const tokens = { jwks: '/jwks', audience }
  const form = { grant_type: 'client_credentials', ...client, scope: 'read', resource: audience }
  const jobs = {
    clientCredentials: formJob('/token', form, { job: { expect: { kind: 'token', ...tokens } } }),
    introspect: formJob(
      '/introspect',
      { ...client, token: await signToken() },
      { job: { expect: { kind: 'active' } } },
    ),
    fixed: { method: 'GET', path: '/fixed', expect: { kind: 'active' } },
    register: {
      method: 'POST',
      path: '/register',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ client_name: 'Bench', redirect_uris: ['https://app.example.com/cb'] }),
      expect: { kind: 'registered' },
    },
    jwks: { method: 'GET', path: '/jwks', expect: { kind: 'static', has: ['keys'] } },
    metadata: { method: 'GET', path: '/metadata', expect: { kind: 'static', has: ['issuer', 'token_endpoint'] } },
  }
  const actions = {}
  const parts = [
    ...(prepare.includes('refresh') ? [prepareRotation] : []),
    ...(prepare.includes('refresh') || prepare.includes('codes') ? [prepareSameStatements] : []),
  ]
  for (const part of parts) {
    const added = await part(app, { databaseUrl, masterKey, send, signIdToken, tokens, client })
    Object.assign(jobs, added.jobs)
    Object.assign(actions, added.actions)
  }
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { port: app.server.address().port, jobs, actions }
})
