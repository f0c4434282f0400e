// One verifier of access tokens in a process: it verifies in a loop, tokens that it sees for the first time or again.

import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { createServer } from 'node:http'
import { calculateJwkThumbprint, importJWK, jwtVerify } from 'jose'
import { refuses as isRevoked, openVerifier, issuer as serverIssuer } from '../verifiers.mjs'
import { serve } from './child.mjs'

const audience = 'https://orders.example'

/** More than any of them remembers: when one comes again, it has been forgotten. */
const fresh = 20_001
const again = 1_000

/** At once, as requests of an API come in. */
const width = 16

const candidates = {
  async jose({ jwk, issuer, alg }) {
    const key = await importJWK(jwk, alg)
    const options = { issuer, audience, typ: 'at+jwt', algorithms: [alg], requiredClaims: ['exp', 'sub', 'client_id'] }
    return (token) => jwtVerify(token, key, options)
  },
  /** With credentials, at a server of its own whose feed it follows: so each check is one of the revocations, too. */
  async ostiary({ jwk, server }) {
    const api = await openVerifier(server, server.origin, jwk)
    await hearsOfRevocations(api, server)
    return async (token) => {
      const decision = await api.check({ url: '/orders', headers: { authorization: `Bearer ${token}` } })
      if (!decision.ok) throw new Error(decision.reason)
    }
  },
  async 'express-oauth2-jwt-bearer'({ issuer, alg }) {
    const { auth } = await import('express-oauth2-jwt-bearer')
    const check = auth({ issuer, jwksUri: `${issuer}/jwks`, audience, tokenSigningAlg: alg, strict: true })
    return (token) =>
      new Promise((resolve, reject) => {
        const headers = { host: 'orders.example', authorization: `Bearer ${token}` }
        const about = {
          method: 'GET',
          protocol: 'https',
          originalUrl: '/orders',
          url: '/orders',
          app: { enabled: () => false },
        }
        const request = {
          ...about,
          headers,
          is: () => false,
          get: (name) => headers[name.toLowerCase()],
          query: {},
          body: {},
        }
        check(request, {}, (error) => (error ? reject(error) : resolve()))
      })
  },
  async '@okta/jwt-verifier'({ issuer }) {
    const { default: OktaJwtVerifier } = await import('@okta/jwt-verifier')
    const verifier = new OktaJwtVerifier({ issuer, jwksUri: `${issuer}/jwks`, testing: { disableHttpsCheck: true } })
    return (token) => verifier.verifyAccessToken(token, audience)
  },
  async 'fast-jwt'({ pem, issuer, alg }) {
    const { createVerifier } = await import('fast-jwt')
    const options = {
      key: pem,
      algorithms: [alg],
      allowedIss: issuer,
      allowedAud: audience,
      requiredClaims: ['sub', 'client_id'],
    }
    const [first, seen] = [createVerifier(options), createVerifier({ ...options, cache: 10_000 })]
    return (token, before) => (before ? seen : first)(token)
  },
}

/** Of API keys: each takes a text, and rejects what is no good one. */
const keyCandidates = {
  /** By the same client, and nothing remembered: what an API without the package does with each request. */
  async introspection({ origin, api: { resource, clientSecret } }) {
    const authorization = `Basic ${Buffer.from(`${resource.clientId}:${clientSecret}`).toString('base64')}`
    return async (token) => {
      const body = new URLSearchParams({ token })
      const response = await fetch(`${origin}/introspect`, { method: 'POST', headers: { authorization }, body })
      if ((await response.json()).active !== true) throw new Error('it is not active')
    }
  },
  /** Each is asked about once a minute, and whenever the feed has something to say of it. */
  async ostiary(server) {
    const api = await openVerifier(server, server.origin)
    await hearsOfRevocations(api, server)
    return async (key) => {
      const decision = await api.check({ url: '/orders', headers: { 'x-api-key': key } })
      if (!decision.ok) throw new Error(decision.reason)
    }
  },
}

/** One that follows nothing would be quicker. */
async function hearsOfRevocations(api, { origin, service, audience, scope }) {
  const post = async (path, form) => {
    const response = await fetch(`${origin}${path}`, {
      method: 'POST',
      body: new URLSearchParams({ ...service, ...form }),
    })
    if (!response.ok) throw new Error(`${path} answers ${response.status}`)
    return response.text()
  }
  const form = { grant_type: 'client_credentials', scope, resource: audience }
  const { access_token: token } = JSON.parse(await post('/token', form))
  if (await isRevoked(api, token)) throw new Error('a token is refused before it was revoked')
  await post('/revoke', { token })
  for (const endAt = performance.now() + 10_000; !(await isRevoked(api, token)); ) {
    if (performance.now() > endAt) throw new Error('a revoked token is not refused')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

serve(async ({ candidate, alg, server, keys }) => {
  if (keys) return startKeys(candidate, server, keys)
  const { privateKey, publicKey } =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 })
  const bare = publicKey.export({ format: 'jwk' })
  const jwk = { ...bare, kid: await calculateJwkThumbprint(bare), alg, use: 'sig' }
  const answers = {}
  const http = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(answers[request.url] ?? {}))
  })
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${http.address().port}`
  answers['/jwks'] = { keys: [jwk] }
  answers['/.well-known/oauth-authorization-server'] = { issuer, jwks_uri: `${issuer}/jwks` }

  const from = candidate === 'ostiary' ? { iss: serverIssuer, aud: server.audience } : { iss: issuer, aud: audience }
  const tokens = Array.from({ length: fresh }, () => makeToken(from, jwk, privateKey))
  const pem = publicKey.export({ format: 'pem', type: 'spki' })
  const verify = await candidates[candidate]({ jwk, issuer, alg, pem, server })
  await refuses(verify, tokens[0])
  return {
    port: http.address().port,
    jobs: { first: { loop: 'first' }, seen: { loop: 'seen' } },
    actions: {
      loop: ({ seconds, name }) =>
        loop(seconds, (turn) => verify(tokens[turn % (name === 'seen' ? again : fresh)], name === 'seen')),
    },
  }
})

async function startKeys(candidate, server, keys) {
  const check = await keyCandidates[candidate](server)
  for (const key of keys) await check(key)
  const other = `${keys[0].slice(0, -7)}${keys[1].slice(-7)}`
  const accepted = await check(other).then(
    () => true,
    () => false,
  )
  if (accepted) throw new Error('a key that was made up was accepted')
  const actions = { loop: ({ seconds }) => loop(seconds, (turn) => check(keys[turn % keys.length])) }
  return { port: new URL(server.origin).port, jobs: { seen: { loop: 'seen' } }, actions }
}

/** As the server makes one for a user. */
function makeToken({ iss, aud }, { kid, alg }, key) {
  const iat = Math.floor(Date.now() / 1000)
  const ids = Object.fromEntries(['jti', 'client_id', 'sub', 'grant_id', 'sid'].map((name) => [name, randomUUID()]))
  const claims = { iss, ...ids, aud, iat, exp: iat + 3600, scope: 'orders:read orders:write' }
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode({ alg, typ: 'at+jwt', kid })}.${encode(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** A verifier that takes everything would be the fastest. */
async function refuses(verify, token) {
  await verify(token, false)
  const [header, payload, signature] = token.split('.')
  const forged = `${header}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
  const accepted = await Promise.resolve()
    .then(() => verify(forged, false))
    .then(
      () => true,
      () => false,
    )
  if (accepted) throw new Error('a forged token was accepted')
}

async function loop(seconds, one) {
  const startedAt = performance.now()
  const endAt = startedAt + seconds * 1000
  let turn = 0
  const worker = async () => {
    while (performance.now() < endAt) {
      // The clock is read now and then: beside a microsecond of work it would be most of it.
      for (let count = 0; count < 32; count++) await one(turn++)
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  const elapsed = (performance.now() - startedAt) / 1000
  return { requests: turn, elapsed, p50: 0, p99: 0, busy: 0, verified: 0 }
}
