// A gateway of the installation, and what it asks: about the same token again, or the same API key.

import { createApiKey } from '../dist/api-keys/index.js'
import { createGateway } from '../dist/gateways/index.js'
import { collectTokens } from './site.mjs'

const by = { actor: 'operator' }

/** The server serves already. */
export async function gatewayJobs(site, origin) {
  const { ctx, service, scope, audience, tag } = site
  const settings = { resource: audience, scope: [scope], forwardsAddress: true }
  const { gateway, clientSecret } = await createGateway(ctx, tag, settings, by)
  const form = { grant_type: 'client_credentials', ...service, scope, resource: audience }
  const [token] = await collectTokens(1, origin, form)
  const owner = { kind: 'client', id: service.client_id }
  const { text: key } = await createApiKey(ctx, { owner, name: 'Bench', scope: [scope], lifetime: 86_400 }, by)
  const credential = `Basic ${Buffer.from(`${gateway.clientId}:${clientSecret}`).toString('base64')}`
  const job = (shown) => ({
    method: 'GET',
    path: `/forward-auth/${tag}`,
    headers: {
      'x-gateway-authorization': credential,
      authorization: `Bearer ${shown}`,
      'x-forwarded-for': '192.0.2.7',
    },
    expect: { kind: 'passed' },
  })
  return { forwardToken: job(token), forwardKey: job(key) }
}
