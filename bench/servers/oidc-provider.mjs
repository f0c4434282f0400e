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
  const secret = () => randomBytes(32).toString('base64url')
  const service = { client_id: 'svc', client_secret: secret() }
  const web = { client_id: 'web', client_secret: secret() }
  const common = {
    token_endpoint_auth_method: 'client_secret_post',
    id_token_signed_response_alg: 'ES256',
    scope: 'read',
  }
  const provider = new Provider('http://localhost:3000', {
    ...(prepare.length > 0 && { adapter: UnboundedMemory }),
    clients: [
      { ...service, ...common, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
      {
        ...web,
        ...common,
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [redirectUri],
        response_types: ['code'],
      },
    ],
    jwks: { keys: [key] },
    scopes: ['read'],
    rotateRefreshToken: true,
    issueRefreshToken: async () => true,
    findAccount: async (_ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    ttl: { AuthorizationCode: 3_600, AccessToken: 600, ClientCredentials: 600, Grant: 86_400, RefreshToken: 86_400 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
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

  const client = await provider.Client.find(web.client_id)
  async function issueCode() {
    const grant = new provider.Grant({ clientId: web.client_id, accountId: 'ada' })
    grant.addResourceScope(audience, 'read')
    const code = new provider.AuthorizationCode({
      accountId: 'ada',
      authTime: Math.floor(Date.now() / 1000),
      client,
      grantId: await grant.save(),
      redirectUri,
      resource: audience,
      scope: 'read',
      gty: 'authorization_code',
      codeChallenge: challenge,
      codeChallengeMethod: 'S256',
    })
    return { body: `${codeForm}&code=${await code.save()}` }
  }
  const codeForm = encode({
    grant_type: 'authorization_code',
    ...web,
    redirect_uri: redirectUri,
    code_verifier: verifier,
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
      redeem: { ...formJob('/token', {}, refreshing), form: codeForm, stock: 'codes' },
    },
    actions: {
      codes: async ({ count }) => ({ once: await collect(count, issueCode) }),
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
