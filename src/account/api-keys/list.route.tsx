import { pageOfApiKeys, readCursor, writeCursor } from '../../api-keys/index.js'
import type { Context } from '../../context.js'
import { sendPage } from '../../http/index.js'
import type { AccountRoute } from '../frame.js'
import { ListPage } from './list.page.js'
import { ownerOf, viewOf } from './own.js'

/** Keys on one page. */
const limit = 20

/** The keys of whoever is signed in: those that can be used, or by `?show=over` those that were. */
export function listRoute(ctx: Context): AccountRoute {
  return {
    url: '/account/api-keys',
    async show({ reply, session, base, query }) {
      const now = ctx.clock.now()
      const over = query['show'] === 'over'
      const filter = { owner: ownerOf(session), ...(over ? { overAt: now } : { liveAt: now }) }
      const cursor = query['after']
      // What is no cursor of ours is the beginning: it is their list either way.
      const after = typeof cursor === 'string' ? readCursor(cursor) : undefined
      const { keys, next } = await pageOfApiKeys(ctx, filter, { after, limit })
      const views = await Promise.all(keys.map((key) => viewOf(ctx, key, base)))
      return sendPage(
        reply,
        200,
        <ListPage {...{ base, over, first: !after }} keys={views} next={next && writeCursor(next)} />,
      )
    },
  }
}
