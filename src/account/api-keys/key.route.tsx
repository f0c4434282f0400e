import type { Context } from '../../context.js'
import { sendPage } from '../../http/index.js'
import type { AccountRoute } from '../frame.js'
import { KeyPage } from './key.page.js'
import { findOwnKey, wholeViewOf } from './own.js'

/** All about one key. */
export function keyRoute(ctx: Context): AccountRoute {
  return {
    url: '/account/api-keys/:id',
    async show(visit) {
      const { reply, base } = visit
      const view = await wholeViewOf(ctx, await findOwnKey(ctx, visit), base)
      return sendPage(reply, 200, <KeyPage base={base} view={view} />)
    },
  }
}
