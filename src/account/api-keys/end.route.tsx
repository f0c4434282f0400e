import { endApiKey } from '../../api-keys/index.js'
import type { Context } from '../../context.js'
import { seeOther, sendPage } from '../../http/index.js'
import type { AccountRoute } from '../frame.js'
import { EndKeyPage } from './end.page.js'
import { findOwnKey, viewOf } from './own.js'

/** Ends a key at once, everywhere. One that is over stays what it is. */
export function endKeyRoute(ctx: Context): AccountRoute {
  return {
    url: '/account/api-keys/:id/end',
    recent: true,
    async show(visit) {
      const { reply, base, csrfToken } = visit
      const view = await viewOf(ctx, await findOwnKey(ctx, visit), base)
      return sendPage(reply, 200, <EndKeyPage {...{ base, csrfToken, view }} />)
    },

    async submit(visit) {
      const { reply, base, by } = visit
      const { id } = await findOwnKey(ctx, visit)
      await endApiKey(ctx, id, { cause: { ...by, reason: 'revoked_by_user' } })
      return seeOther(reply, `${base}/api-keys/${id}`)
    },
  }
}
