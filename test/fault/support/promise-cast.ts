import { registerClient } from '../../../src/clients/index.js'
import { createResource } from '../../../src/clients/resource-servers.js'
import type { Context } from '../../../src/context.js'
import { createUser } from '../../../src/identity/index.js'
import { createRole, grantRole } from '../../../src/resources/index.js'
import type { RoleHolder } from '../../../src/store/index.js'
import { basicOf, registration } from '../../support/server.js'
import { type Account, apiIdentifier, type People, redirectUri } from './people.js'

/** Whom tokens are issued to: several of each, so that ending one leaves others. */
export interface Cast {
  /** Of the API, for its verifiers. */
  readonly credentials: { readonly clientId: string; readonly clientSecret: string }
  /** Each a user at an application, and a service: as the requests of a load know them. */
  readonly people: readonly People[]
  /** Of a client of theirs. @throws for another one */
  readonly account: (clientId: string) => Account
}

export const roleName = 'reader'
const by = { actor: 'operator' }

/** Registers them. The scope of the API is for who holds a role, so that one can be withdrawn. */
export async function registerCast(ctx: Context, count: number): Promise<Cast> {
  const { resource, clientSecret } = await createResource(ctx, apiIdentifier, { scopes: [{ name: 'read' }] }, by)
  await ctx.refresh()
  await createRole(ctx, { resource: apiIdentifier, name: roleName, scope: ['read'] }, by)
  const hold = (holder: RoleHolder) => grantRole(ctx, apiIdentifier, roleName, holder, by)
  const accounts = new Map<string, Account>()
  const register = async (metadata: Readonly<Record<string, unknown>>): Promise<Account> => {
    const { client, clientSecret = '' } = await registerClient(ctx, { client_name: 'Load', ...metadata }, registration)
    const account = { clientId: client.clientId, basic: basicOf(client.clientId, clientSecret) }
    accounts.set(account.clientId, account)
    return account
  }
  const api = { clientId: resource.clientId, basic: basicOf(resource.clientId, clientSecret) }
  const people: People[] = []
  for (let index = 0; index < count; index++) {
    const user = { email: `user${index}@example.com`, password: 'correct horse battery' }
    const { id } = await createUser(ctx, { ...user, name: 'Ada' }, by)
    await hold({ kind: 'user', holder: id })
    const service = await register({ redirect_uris: undefined, grant_types: ['client_credentials'], scope: 'read' })
    await hold({ kind: 'client', holder: service.clientId })
    const application = await register({
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      scope: 'read',
      first_party: true,
    })
    people.push({ api, application, service, victims: [], spare: service, user })
  }
  return {
    credentials: { clientId: resource.clientId, clientSecret },
    people,
    account(clientId) {
      const found = accounts.get(clientId)
      if (!found) throw new Error(`nobody is called ${clientId}`)
      return found
    },
  }
}
