import {
  createResource,
  type RegistrationOptions,
  registerClient,
  rotateSecret,
  updateClient,
} from '../clients/index.js'
import type { Context } from '../context.js'
import { createUser, findUser, type NewUser, setPassword } from '../identity/index.js'
import { ConflictError } from '../platform/administration-errors.js'
import { grantTypes } from '../protocol/token/index.js'
import { findResource } from '../resources/index.js'
import { settings, type User } from '../store/index.js'

/** The client whose pages lie under /demo. */
export const demoClientId = 'demo-app'

const resource = 'https://orders.example'

/** What a person at the terminal is shown, once. */
export interface DemoAccounts {
  readonly admin: { readonly email: string; readonly password: string }
  readonly user: { readonly email: string; readonly password: string }
  readonly service: { readonly clientId: string; readonly clientSecret: string }
  /** Of the API itself: for what an example is started with. */
  readonly api: { readonly clientId: string; readonly clientSecret: string }
}

/**
 * Creates an administrator, a user, an API, a service and the demo client, at the first start alone. What a first start
 * that was killed midway has left is taken over: its passwords and secret were never shown.
 *
 * @returns undefined when that was done before
 */
export async function setUpDemo(ctx: Context): Promise<DemoAccounts | undefined> {
  const by = { actor: 'system' }
  const registration = { by, grantTypes: grantTypes.map(({ name }) => name) }
  const redirectUri = `${ctx.config.server.issuer}/demo/callback`
  if ((await settings.find(ctx.db, 'demo')) !== undefined) {
    await redirectTo(ctx, redirectUri, registration)
    return undefined
  }
  const admin = { email: 'admin@localhost.example', password: generatePassword(ctx) }
  const user = { email: 'demo@localhost.example', password: generatePassword(ctx) }
  const createAccount = (account: NewUser & { readonly password: string }): Promise<User | undefined> =>
    unlessThere(
      () => createUser(ctx, account, by),
      async () => {
        const { id } = await findUser(ctx, account.email)
        await setPassword(ctx, id, account.password, by)
        return undefined
      },
    )
  await createAccount({ ...admin, name: 'Administrator', admin: true })
  await createAccount({ ...user, name: 'Demo User' })
  const orders = {
    name: 'Orders',
    // For the examples, which show every way.
    acceptsBasic: true,
    scopes: [
      { name: 'orders:read', description: 'Read your orders' },
      { name: 'orders:write', description: 'Place orders in your name' },
    ],
  }
  const api = await unlessThere(
    async () => {
      const made = await createResource(ctx, resource, orders, by)
      return { clientId: made.resource.clientId, clientSecret: made.clientSecret }
    },
    async () => {
      const { clientId } = await findResource(ctx, resource)
      const { clientSecret } = await rotateSecret(ctx, clientId, { overlap: 0, by })
      return { clientId, clientSecret }
    },
  )
  await ctx.resources.refresh()
  const service = {
    client_id: 'demo-service',
    client_name: 'Demo service',
    grant_types: ['client_credentials'],
    scope: 'orders:read orders:write',
    default_scope: 'orders:read',
  }
  const registered = await unlessThere(
    () => registerClient(ctx, service, registration),
    () => rotateSecret(ctx, service.client_id, { overlap: 0, by }),
  )
  await unlessThere(() =>
    registerClient(
      ctx,
      {
        client_id: demoClientId,
        client_name: 'Demo application',
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'none',
        scope: 'openid orders:read orders:write offline_access',
        default_scope: 'openid orders:read',
      },
      registration,
    ),
  )
  await settings.create(ctx.db, 'demo', { created_at: ctx.clock.now().toISOString() })
  return {
    admin,
    user,
    service: { clientId: service.client_id, clientSecret: registered?.clientSecret ?? '' },
    api: api ?? { clientId: '', clientSecret: '' },
  }
}

/** The demo client comes back to this server, also when that has got another PORT since. */
async function redirectTo(ctx: Context, redirectUri: string, registration: RegistrationOptions): Promise<void> {
  const client = await ctx.clients.find(demoClientId)
  if (!client || client.redirectUris.includes(redirectUri)) return
  await updateClient(ctx, demoClientId, { redirect_uris: [redirectUri] }, registration)
}

async function unlessThere<Result>(
  create: () => Promise<Result>,
  takeOver: () => Promise<Result | undefined> = async () => undefined,
): Promise<Result | undefined> {
  try {
    return await create()
  } catch (error) {
    if (error instanceof ConflictError) return takeOver()
    throw error
  }
}

/** Four groups of five: easy to type from a terminal, 100 bits. */
function generatePassword(ctx: Context): string {
  const letters = 'abcdefghjkmnpqrstuvwxyz23456789-'.slice(0, 31)
  const symbols: string[] = []
  while (symbols.length < 20) {
    for (const byte of ctx.random.bytes(32)) if (byte < 248 && symbols.length < 20) symbols.push(letters[byte % 31]!)
  }
  return [0, 5, 10, 15].map((start) => symbols.slice(start, start + 5).join('')).join('-')
}
