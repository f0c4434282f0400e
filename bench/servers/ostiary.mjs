// This server as it is released: what `npm run build` has made, with the data of the scenario.

import { createApiKey } from '../../dist/api-keys/index.js'
import { createApp } from '../../dist/app.js'
import { maintainPartitions } from '../../dist/jobs/index.js'
import { gatewayJobs } from '../gateways.mjs'
import {
  exchangeJobs,
  introspectionJobs,
  loginJobs,
  openSite,
  plainJobs,
  stockChains,
  stockCodes,
  userInfoJobs,
} from '../site.mjs'
import { serve } from './child.mjs'

serve(async ({ databaseUrl, masterKey, prepare, env, tag = 'ostiary' }) => {
  const site = await openSite({ databaseUrl, masterKey, env, tag, follow: true })
  const app = await createApp(site.ctx)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address()
  const origin = `http://127.0.0.1:${port}`
  const jobs = plainJobs(site)
  if (prepare.includes('introspection')) Object.assign(jobs, await introspectionJobs(site, origin))
  if (prepare.includes('people')) Object.assign(jobs, await userInfoJobs(site, origin))
  if (prepare.includes('keys')) Object.assign(jobs, await exchangeJobs(site))
  if (prepare.includes('gateways')) Object.assign(jobs, await gatewayJobs(site, origin))
  if (prepare.includes('logins')) Object.assign(jobs, await loginJobs(site))
  const keys = prepare.includes('api-keys') ? await makeApiKeys(site) : []
  return {
    port,
    keys,
    jobs,
    client: site.web,
    service: site.service,
    api: { resource: { clientId: site.api.resource.clientId }, clientSecret: site.api.clientSecret },
    scope: site.scope,
    audience: site.audience,
    actions: {
      codes: async ({ count }) => ({ once: await stockCodes(site, count) }),
      codesES256: async ({ count }) => ({ once: await stockCodes(site, count, 'ES256') }),
      codesRS256: async ({ count }) => ({ once: await stockCodes(site, count, 'RS256') }),
      chains: async ({ count }) => ({ tokens: await stockChains(site, count, origin) }),
      /** What the worker does, in the process that serves: as `npm start` has it. */
      async maintain() {
        const startedAt = performance.timeOrigin + performance.now()
        await maintainPartitions(site.ctx)
        return { startedAt, endedAt: performance.timeOrigin + performance.now() }
      },
    },
  }
})

const keyCount = 1_000

/** @returns their texts */
async function makeApiKeys({ ctx, service, scope, audience }) {
  const owner = { kind: 'client', id: service.client_id }
  const texts = []
  for (let count = 0; count < keyCount; count++) {
    const about = { owner, name: `Key ${count}`, scope: [scope], resources: [audience] }
    texts.push((await createApiKey(ctx, about, { actor: 'operator' })).text)
  }
  return texts
}
