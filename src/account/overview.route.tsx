import type { FastifyInstance } from 'fastify'
import type { Context } from '../context.js'
import { clearCookie, originOf, seeOther, sendPage } from '../http/index.js'
import { endSession } from '../identity/index.js'
import { addressOf } from '../interaction/index.js'
import { listNotices, noticeText } from '../notices/index.js'
import type { AccountRoute } from './frame.js'
import { OverviewPage } from './overview.page.js'
import { SignedOutPage } from './signed-out.page.js'

const mostNotices = 10

/** Who is signed in, what they should know, and the way out. */
export function overviewRoute(ctx: Context): AccountRoute {
  return {
    url: '/account',
    async show({ reply, session, base, csrfToken }) {
      const { user, authTime } = session
      const told = await listNotices(ctx, { kind: 'user', id: session.userId }, mostNotices)
      const notices = told.map((notice) => ({
        at: notice.createdAt,
        text: noticeText(notice, ctx.config.server.issuer).subject,
        href: notice.subject.kind === 'api_key' ? `${base}/api-keys/${notice.subject.id}` : undefined,
      }))
      return sendPage(reply, 200, <OverviewPage {...{ base, csrfToken, user, authTime, notices }} />)
    },
    async submit({ request, reply, session, base }, { action }) {
      if (action !== 'sign_out') return seeOther(reply, base)
      await endSession(ctx, session, 'signed_out', originOf(request))
      clearCookie(reply, 'session')
      return seeOther(reply, `${base}/signed-out`)
    },
  }
}

/** Nobody is asked who they are to read that nobody is signed in. */
export function signedOutRoute(app: FastifyInstance, ctx: Context): void {
  const page = <SignedOutPage base={addressOf(ctx, '/account')} />
  app.get('/account/signed-out', (_request, reply) => sendPage(reply, 200, page))
}
