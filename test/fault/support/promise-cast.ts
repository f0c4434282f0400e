import { registerClient } from '../../../src/clients/index.js'
import { createResource } from '../../../src/clients/resource-servers.js'
import type { Context } from '../../../src/context.js'
import { createUser } from '../../../src/identity/index.js'
import { createRole, grantRole } from '../../../src/resources/index.js'
import type { RoleHolder } from '../../../src/store/index.js'
import { basicOf, registration } from '../../support/server.js'
import { type Account, type ApiAccount, apiIdentifier, type People, redirectUri } from './people.js'

/** Whom tokens are issued to: several of each, so that ending one leaves others. */
export interface Cast {
  /** What a verifier of each API has to know, by the format of its tokens. */
  readonly apis: Readonly<Record<Format, VerifiedApi>>
  /** Each a user at an application, and a service, of one of the APIs: as the requests of a load know them. */
  readonly people: readonly People[]
  /** Those whose client it is, as if it were their service. @throws for another one */
  readonly as: (clientId: string) => People
}

export type Format = 'jwt' | 'opaque'

interface VerifiedApi {
  readonly audience: string
  readonly credentials: { readonly clientId: string; readonly clientSecret: string }
}

export const roleName = 'reader'
const by = { actor: 'operator' }

/** Registers so many at each API. Its scope is for who holds a role, so that one can be withdrawn. */
export async function registerCast(ctx: Context, count: number): Promise<Cast> {
  const apis = {
    jwt: await registerApi(ctx, apiIdentifier, 'jwt'),
    opaque: await registerApi(ctx, 'https://opaque.example.com', 'opaque'),
  }
  const people: People[] = []
  for (let index = 0; index < count; index++) {
    for (const api of Object.values(apis)) people.push(await registerPeopleOf(ctx, api, `user${people.length}`))
  }
  return {
    apis,
    people,
    as(clientId) {
      for (const each of people) {
        const service = [each.service, each.application].find((account) => account.clientId === clientId)
        if (service) return { ...each, service }
      }
      throw new Error(`nobody is called ${clientId}`)
    },
  }
}

async function registerApi(ctx: Context, audience: string, tokenFormat: Format): Promise<VerifiedApi> {
  const settings = { scopes: [{ name: 'read' }], tokenFormat }
  const { resource, clientSecret } = await createResource(ctx, audience, settings, by)
  await ctx.refresh()
  await createRole(ctx, { resource: audience, name: roleName, scope: ['read'] }, by)
  return { audience, credentials: { clientId: resource.clientId, clientSecret } }
}

async function registerPeopleOf(ctx: Context, { audience, credentials }: VerifiedApi, name: string): Promise<People> {
  const hold = (holder: RoleHolder) => grantRole(ctx, audience, roleName, holder, by)
  const register = async (metadata: Readonly<Record<string, unknown>>): Promise<Account> => {
    const { client, clientSecret = '' } = await registerClient(ctx, { client_name: 'Load', ...metadata }, registration)
    return { clientId: client.clientId, basic: basicOf(client.clientId, clientSecret) }
  }
  const { clientId, clientSecret } = credentials
  const api: ApiAccount = { identifier: audience, clientId, basic: basicOf(clientId, clientSecret) }
  const user = { email: `${name}@example.com`, password: 'correct horse battery' }
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
  return { api, application, service, victims: [], spare: service, user }
}
