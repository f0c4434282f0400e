import type { Context } from '../../context.js'
import { clearCookie, seeOther, sendPage } from '../../http/index.js'
import { endSession } from '../../identity/index.js'
import { type ListedSession, type Session, sessions } from '../../store/index.js'
import type { AccountRoute, AccountVisit } from '../frame.js'
import { SessionsPage } from './sessions.page.js'

/** Sessions on the page, and ended at once. */
const most = 100

const reason = 'ended_by_user'

/** Where somebody is signed in. They end one, or all but this: less than a sign-out asks for more of nobody. */
export function sessionsRoute(ctx: Context): AccountRoute {
  return {
    url: '/account/sessions',
    async show({ reply, session, base, csrfToken }) {
      const { idleLifetime } = ctx.config.sessions
      const views = (await listOf(ctx, session)).map((each) => ({
        id: each.id,
        isThis: each.id === session.id,
        since: each.createdAt,
        lastUsed: lastUsed(each, idleLifetime),
        ip: each.ip,
      }))
      views.sort((a, b) => Number(b.isThis) - Number(a.isThis))
      return sendPage(reply, 200, <SessionsPage {...{ base, csrfToken }} sessions={views} />)
    },

    async submit(visit, { action, session: id }) {
      const { reply, session, base } = visit
      if (action === 'end_others') await endOthers(ctx, visit)
      else {
        // Their own alone: an id of somebody else's is in no list of theirs (attack 114).
        const one = (await listOf(ctx, session)).find((each) => each.id === id)
        if (one) await end(ctx, visit, one)
        if (one?.id === session.id) {
          clearCookie(reply, 'session')
          return seeOther(reply, `${base}/signed-out`)
        }
      }
      return seeOther(reply, `${base}/sessions`)
    },
  }
}

function listOf(ctx: Context, { userId }: Session): Promise<readonly ListedSession[]> {
  return sessions.list(ctx.db, userId, ctx.clock.now(), most)
}

async function endOthers(ctx: Context, visit: AccountVisit): Promise<void> {
  for (;;) {
    const others = (await listOf(ctx, visit.session)).filter(({ id }) => id !== visit.session.id)
    if (others.length === 0) return
    await Promise.all(others.map((each) => end(ctx, visit, each)))
  }
}

function end(ctx: Context, { session, by }: AccountVisit, { bucket, id }: ListedSession): Promise<void> {
  return endSession(ctx, { bucket, id, userId: session.userId }, reason, by.origin ?? {})
}

/** To some minutes: the end of the idle time is not written at each use. */
function lastUsed({ idleExpiresAt, authTime }: ListedSession, idleLifetime: number): Date {
  return new Date(Math.max(idleExpiresAt.getTime() - idleLifetime * 1000, authTime.getTime()))
}
