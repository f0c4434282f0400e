// The peer: oidc-provider with the adapter that keeps everything in memory, which is the fastest that it has.

import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'
import { formJob, serve } from './child.mjs'

const audience = 'https://api.example.com'

serve(async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'ES256', use: 'sig' }
  const client = { client_id: 'svc', client_secret: randomBytes(32).toString('base64url') }
  const provider = new Provider('http://localhost:3000', {
    clients: [
      {
        ...client,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_post',
        id_token_signed_response_alg: 'ES256',
        scope: 'read',
      },
    ],
    jwks: { keys: [key] },
    scopes: ['read'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
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
  const form = { grant_type: 'client_credentials', ...client, scope: 'read', resource: audience }
  return {
    port: server.address().port,
    jobs: { clientCredentials: formJob('/token', form, { job: { verify: { jwks: '/jwks', audience } } }) },
  }
})
