import type { Test } from 'tap'
import type { NewApiKeyRequest } from '../../src/api-keys/index.js'
import { createDelivery } from '../../src/jobs/index.js'
import { nameDestinations } from '../../src/notices/index.js'
import { makeKey } from './exchange.js'
import { createTestServer, sql, type TestServer, type TestServerOptions } from './server.js'
import { openMailServer } from './smtp.js'

export const day = 86_400

/** A user with keys at an API, and a client that makes its own. */
export async function openOwners(t: Test, options: TestServerOptions = {}) {
  const server = await createTestServer(t, options)
  const api = await server.createResource('https://api.example', 'read')
  const user = await server.createUser()
  const owner = { kind: 'user', id: user.id } as const
  const key = (request: Partial<NewApiKeyRequest> = {}) =>
    makeKey(server, { owner, scope: ['read'], lifetime: 'never', ...request })
  return { server, ctx: server.ctx, api, user, owner, key }
}

/** The same, and a mail server that notices go through. */
export async function openMailing(t: Test) {
  const mail = await openMailServer(t)
  const env = { SMTP_URL: mail.url, MAIL_FROM: 'auth@example.com' }
  const owners = await openOwners(t, { env })
  await nameDestinations(owners.ctx)
  const delivery = createDelivery(owners.ctx)
  t.teardown(() => delivery.stop())
  return { ...owners, mail, delivery, env }
}

/** All that were written, oldest first. */
export const noticesOf = (server: TestServer) =>
  sql(
    server,
    'SELECT kind, owner_kind, owner, subject_kind, subject, detail FROM notice ORDER BY created_at, cause, subject',
  )
