import type { Context } from '../../context.js'
import { PageError, seeOther, sendPage } from '../../http/index.js'
import { strangerOf } from '../../interaction/index.js'
import { type AllowedUse, consents, grants, type RememberedUse } from '../../store/index.js'
import { errorTexts } from '../../ui/index.js'
import type { AccountRoute } from '../frame.js'
import { ApplicationsPage, type ApplicationView } from './applications.page.js'
import { endApplication } from './end.js'

/** Different uses that the page has room for. */
const most = 500

/** The applications that somebody has allowed something, what that is, and its end. */
export function applicationsRoute(ctx: Context): AccountRoute {
  return {
    url: '/account/applications',
    async show({ reply, session, base, csrfToken }) {
      const uses = await grants.listAllowed(ctx.db, session.userId, ctx.clock.now(), most)
      const remembered = await consents.listRemembered(ctx.db, session.userId, most)
      // What is remembered outlives the grants: it signs them in again without a question, so it must be here to be ended.
      const clientIds = [...new Set([...uses, ...remembered].map(({ clientId }) => clientId))]
      const applications = await Promise.all(
        clientIds.map((clientId) =>
          viewOf(
            ctx,
            clientId,
            uses.filter((use) => use.clientId === clientId),
            remembered.filter((use) => use.clientId === clientId),
          ),
        ),
      )
      return sendPage(reply, 200, <ApplicationsPage {...{ base, csrfToken, applications }} />)
    },

    async submit({ reply, session, base, by }, { client_id: clientId }) {
      if (typeof clientId !== 'string') {
        const { message, advice } = errorTexts.formNotOurs
        throw new PageError(message, { reason: 'client_id_missing', advice })
      }
      await endApplication(ctx, { userId: session.userId, clientId }, by)
      return seeOther(reply, `${base}/applications`)
    },
  }
}

async function viewOf(
  ctx: Context,
  clientId: string,
  uses: readonly AllowedUse[],
  remembered: readonly RememberedUse[],
): Promise<ApplicationView> {
  const client = await ctx.clients.find(clientId)
  const all = [...uses, ...remembered]
  return {
    clientId,
    name: client?.clientName ?? clientId,
    stranger: client && strangerOf(client),
    scopes: scopesOf(ctx, all),
    resources: [...new Set(all.flatMap(({ resources }) => resources))].map(
      (identifier) => ctx.resources.find(identifier)?.name ?? identifier,
    ),
    offline: uses.some(({ offline }) => offline),
    remembered: remembered.length > 0,
    since: new Date(Math.min(...all.map(({ since }) => since.getTime()))),
    latest: uses.length === 0 ? undefined : new Date(Math.max(...uses.map(({ latest }) => latest.getTime()))),
    openHref:
      client?.initiateLoginUri === undefined
        ? undefined
        : loginAddress(client.initiateLoginUri, ctx.config.server.issuer),
  }
}

/** What each allows, as the API that it is of says. */
function scopesOf(ctx: Context, uses: readonly Pick<AllowedUse, 'scope' | 'resources'>[]): ApplicationView['scopes'] {
  const sentences = new Map<string, string>()
  for (const { scope, resources } of uses) {
    const owned = resources.flatMap((identifier) => ctx.resources.find(identifier)?.scopes ?? [])
    for (const name of scope) {
      const sentence = owned.find((each) => each.name === name)?.description
      if (!sentences.get(name)) sentences.set(name, sentence ?? '')
    }
  }
  return [...sentences].map(([name, sentence]) => ({ name, sentence }))
}

/** A login that we begin: the application asks for it then, as for any other. OIDC Core §4 */
function loginAddress(uri: string, issuer: string): string {
  const address = new URL(uri)
  address.searchParams.set('iss', issuer)
  return address.href
}
