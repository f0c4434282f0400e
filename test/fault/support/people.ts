import { type RegisteredClient, registerClient } from '../../../src/clients/index.js'
import { createResource } from '../../../src/clients/resource-servers.js'
import type { Context } from '../../../src/context.js'
import { createUser } from '../../../src/identity/index.js'
import { basicOf, registration } from '../../support/server.js'
import { inBackOffice } from './back-office.js'
import { windowLeft } from './failure-window.js'
import type { Installation } from './installation.js'
import { longWindow } from './ledger.js'

/** A client, by what it sends. */
export interface Account {
  readonly clientId: string
  /** For the Authorization header. */
  readonly basic: string
}

/** An API, by its own account and by what tokens for it name. */
export interface ApiAccount extends Account {
  readonly identifier: string
}

/** Whom the load is made of: registered once, before it begins. */
export interface People {
  /** Its tokens are for it; it may introspect all of them. */
  readonly api: ApiAccount
  /** Logs people in, without asking for consent. */
  readonly application: Account
  /** Seconds that a retry of its refreshes gets the stored answer. Not given: longer than any fault. */
  readonly retryWindow?: number
  /** Has client_credentials. */
  readonly service: Account
  /** Nobody uses the secret of one of these: each is there to be guessed at. */
  readonly victims: readonly Account[]
  /** One more, for when all is over. */
  readonly spare: Account
  readonly user: { readonly email: string; readonly password: string }
}

export const apiIdentifier = 'https://api.example.com'
export const redirectUri = 'https://app.example/cb'

/** Seconds, of whoever registers without one. */
export const defaultWindow = 10

/**
 * Registers everybody, as the command line would.
 *
 * @param retryWindow seconds that a retry of a refresh gets the stored answer
 */
export async function registerPeople(installation: Installation, retryWindow = longWindow): Promise<People> {
  return inBackOffice(installation, async ({ ctx }) => {
    const { resource, clientSecret } = await createResource(ctx, apiIdentifier, { scopes: [{ name: 'read' }] }, by)
    await ctx.refresh()
    const register = async (metadata: Readonly<Record<string, unknown>>): Promise<Account> =>
      accountOf(await registerClient(ctx, { client_name: 'Load', ...metadata }, registration))
    const user = { email: 'ada@example.com', password: 'correct horse battery' }
    await createUser(ctx, { ...user, name: 'Ada' }, by)
    return {
      api: {
        identifier: apiIdentifier,
        clientId: resource.clientId,
        basic: basicOf(resource.clientId, clientSecret),
      },
      application: await register({
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
        scope: 'read',
        first_party: true,
        refresh_token_retry_window: retryWindow === defaultWindow ? undefined : retryWindow,
      }),
      retryWindow,
      service: await register(machine),
      victims: await victimsOf(ctx, () => register(machine)),
      spare: await register(machine),
      user,
    }
  })
}

/** Others to be guessed at, for another load on the same installation: what was guessed stays counted. */
export async function registerVictims(installation: Installation): Promise<Pick<People, 'victims' | 'spare'>> {
  return inBackOffice(installation, async ({ ctx }) => {
    const register = async (): Promise<Account> =>
      accountOf(await registerClient(ctx, { client_name: 'Load', ...machine }, registration))
    return { victims: await victimsOf(ctx, register), spare: await register() }
  })
}

/** Accounts that the load may guess at. */
const victims = 3

/** Seconds: longer than a load. */
const lasting = 900

/** Of those that are registered, some whose window does not end by itself while they are guessed at: guesses begin anew then. */
async function victimsOf(ctx: Context, register: () => Promise<Account>): Promise<readonly Account[]> {
  const all: Account[] = []
  while (all.length < victims) {
    const account = await register()
    if (windowLeft(ctx, account.clientId) > lasting) all.push(account)
  }
  return all
}

const machine = { redirect_uris: undefined, grant_types: ['client_credentials'], scope: 'read' }
const by = { actor: 'operator' }

function accountOf({ client, clientSecret = '' }: RegisteredClient): Account {
  return { clientId: client.clientId, basic: basicOf(client.clientId, clientSecret) }
}
