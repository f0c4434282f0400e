// The peer: oidc-provider with an adapter that keeps everything in memory, which is the fastest that it has.

import { createHash, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'
import { collect, createAgent, encode, formHeaders, formJob, send } from '../http.mjs'
import { serve } from './child.mjs'

const audience = 'https://api.example.com'
const redirectUri = 'https://app.example.com/cb'
const verifier = randomBytes(32).toString('base64url')
const challenge = createHash('sha256').update(verifier).digest('base64url')

/**
 * Its own adapter holds 1,000 rows: too few for the codes of a round, or for the refresh tokens, of which it drops ones
 * that are still in use. This one does the same in a Map, without a bound.
 */
const rows = new Map()
const members = new Map()
class UnboundedMemory {
  constructor(model) {
    this.model = model
  }
  key(id) {
    return `${this.model}:${id}`
  }
  async upsert(id, payload) {
    const key = this.key(id)
    rows.set(key, payload)
    if (!payload.grantId || this.model === 'Grant') return
    const known = members.get(payload.grantId)
    if (known) known.push(key)
    else members.set(payload.grantId, [key])
  }
  async find(id) {
    return rows.get(this.key(id))
  }
  async consume(id) {
    rows.get(this.key(id)).consumed = Math.floor(Date.now() / 1000)
  }
  async destroy(id) {
    rows.delete(this.key(id))
  }
  async revokeByGrantId(grantId) {
    for (const key of members.get(grantId) ?? []) rows.delete(key)
    members.delete(grantId)
  }
}

serve(async ({ prepare }) => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'ES256', use: 'sig' }
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const rsaKey = { ...rsa.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' }
  const secret = () => randomBytes(32).toString('base64url')
  const service = { client_id: 'svc', client_secret: secret() }
  const web = { client_id: 'web', client_secret: secret() }
  const identified = {
    ES256: { client_id: 'web-es256', client_secret: secret() },
    RS256: { client_id: 'web-rs256', client_secret: secret() },
  }
  const common = {
    token_endpoint_auth_method: 'client_secret_post',
    id_token_signed_response_alg: 'ES256',
    scope: 'read',
  }
  const ofCode = {
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [redirectUri],
    response_types: ['code'],
  }
  const provider = new Provider('http://localhost:3000', {
    ...(prepare.length > 0 && { adapter: UnboundedMemory }),
    clients: [
      { ...service, ...common, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
      { ...web, ...common, ...ofCode },
      ...Object.entries(identified).map(([alg, client]) => ({
        ...client,
        ...common,
        ...ofCode,
        scope: 'openid read',
        id_token_signed_response_alg: alg,
      })),
    ],
    jwks: { keys: [key, rsaKey] },
    scopes: ['openid', 'read'],
    rotateRefreshToken: true,
    issueRefreshToken: async () => true,
    findAccount: async (_ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    ttl: { AuthorizationCode: 3_600, AccessToken: 600, ClientCredentials: 600, Grant: 86_400, RefreshToken: 86_400 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'read',
          audience,
          accessTokenTTL: 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  })
  const server = createServer(provider.callback())
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()

  /** @param alg of the ID token, where there is one */
  async function issueCode(alg) {
    const of = alg ? identified[alg] : web
    const client = await provider.Client.find(of.client_id)
    const grant = new provider.Grant({ clientId: of.client_id, accountId: 'ada' })
    grant.addResourceScope(audience, 'read')
    if (alg) grant.addOIDCScope('openid')
    const code = new provider.AuthorizationCode({
      accountId: 'ada',
      authTime: Math.floor(Date.now() / 1000),
      client,
      grantId: await grant.save(),
      redirectUri,
      resource: audience,
      scope: alg ? 'openid read' : 'read',
      gty: 'authorization_code',
      codeChallenge: challenge,
      codeChallengeMethod: 'S256',
    })
    return { body: `${codeForm(of)}&code=${await code.save()}` }
  }
  const codeForm = (of) =>
    encode({ grant_type: 'authorization_code', ...of, redirect_uri: redirectUri, code_verifier: verifier })
  const identifiedJob = (alg) => ({
    ...formJob(
      '/token',
      {},
      { job: { expect: { kind: 'refresh', jwks: '/jwks', idToken: alg, client: identified[alg].client_id } } },
    ),
    stock: `codes${alg}`,
  })
  const tokens = { jwks: '/jwks', audience }
  const form = { grant_type: 'client_credentials', ...service, scope: 'read', resource: audience }
  const refreshing = { job: { expect: { kind: 'refresh', ...tokens } } }
  return {
    port,
    jobs: {
      clientCredentials: formJob('/token', form, { job: { expect: { kind: 'token', ...tokens } } }),
      refresh: {
        ...formJob('/token', {}, refreshing),
        form: encode({ grant_type: 'refresh_token', ...web }),
        stock: 'chains',
      },
      redeem: { ...formJob('/token', {}, refreshing), form: codeForm(web), stock: 'codes' },
      redeemES256: identifiedJob('ES256'),
      redeemRS256: identifiedJob('RS256'),
      register: {
        method: 'POST',
        path: '/reg',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ client_name: 'Bench', redirect_uris: [redirectUri] }),
        expect: { kind: 'registered' },
      },
    },
    actions: {
      codes: async ({ count }) => ({ once: await collect(count, () => issueCode()) }),
      codesES256: async ({ count }) => ({ once: await collect(count, () => issueCode('ES256')) }),
      codesRS256: async ({ count }) => ({ once: await collect(count, () => issueCode('RS256')) }),
      async chains({ count }) {
        const agent = createAgent()
        const chain = async () => {
          const request = { method: 'POST', path: '/token', headers: formHeaders, ...(await issueCode()) }
          const { status, text } = await send(agent, `http://127.0.0.1:${port}`, request)
          if (status !== 200) throw new Error(`${status}: ${text}`)
          return JSON.parse(text).refresh_token
        }
        try {
          return { tokens: await collect(count, chain) }
        } finally {
          agent.destroy()
        }
      },
    },
  }
})
