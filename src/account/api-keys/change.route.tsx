import { changeApiKey } from '../../api-keys/index.js'
import type { Context } from '../../context.js'
import { seeOther, sendPage } from '../../http/index.js'
import type { AccountRoute } from '../frame.js'
import { ChangeKeyPage } from './change.page.js'
import { failureOf } from './failure.js'
import { wordsOf } from './new.route.js'
import { countForm, findOwnKey, wholeViewOf } from './own.js'

/** Another name or description, other networks. */
export function changeKeyRoute(ctx: Context): AccountRoute {
  return {
    url: '/account/api-keys/:id/change',
    recent: true,
    async show(visit) {
      const { reply, base, csrfToken } = visit
      const view = await wholeViewOf(ctx, await findOwnKey(ctx, visit), base)
      const { name, description = '', networks } = view
      const filled = { name, description, networks: networks.join(' ') }
      return sendPage(reply, 200, <ChangeKeyPage {...{ base, csrfToken, view, filled }} />)
    },

    async submit(visit, form) {
      const { reply, base, csrfToken, by } = visit
      const key = await findOwnKey(ctx, visit)
      await countForm(ctx, visit)
      const [name, description, networks] = ['name', 'description', 'networks'].map((field) =>
        String(form[field] ?? ''),
      )
      const filled = { name: name!, description: description!, networks: networks! }
      const request = {
        name: filled.name,
        description: filled.description === '' ? null : filled.description,
        networks: wordsOf(filled.networks),
      }
      try {
        await changeApiKey(ctx, key.id, { request, by })
      } catch (error) {
        const failure = failureOf(error)
        const view = await wholeViewOf(ctx, key, base)
        return sendPage(reply, failure.status, <ChangeKeyPage {...{ base, csrfToken, view, filled, failure }} />)
      }
      return seeOther(reply, `${base}/api-keys/${key.id}`)
    },
  }
}
