import { rotateApiKey } from '../../api-keys/index.js'
import type { Context } from '../../context.js'
import { sendPage } from '../../http/index.js'
import type { AccountRoute } from '../frame.js'
import { failureOf } from './failure.js'
import { countForm, findOwnKey, viewOf } from './own.js'
import { overlaps, RotateKeyPage } from './rotate.page.js'
import { SecretPage } from './secret.page.js'

/** Gives a key a successor, which the answer to the form shows. Once: a key that has one gets no other. */
export function rotateKeyRoute(ctx: Context): AccountRoute {
  return {
    url: '/account/api-keys/:id/rotate',
    recent: true,
    async show(visit) {
      const { reply, base, csrfToken } = visit
      const view = await viewOf(ctx, await findOwnKey(ctx, visit), base)
      return sendPage(reply, 200, <RotateKeyPage {...{ base, csrfToken, view }} />)
    },

    async submit(visit, form) {
      const { reply, base, csrfToken, by, id } = visit
      await findOwnKey(ctx, visit)
      await countForm(ctx, visit)
      const overlap = overlaps.find(({ seconds }) => String(seconds) === form['overlap'])?.seconds
      try {
        const { key, text, previous } = await rotateApiKey(ctx, id, { overlap, by })
        const { href } = await viewOf(ctx, previous, base)
        const { expiresAt } = previous
        const before = { href, expiresAt: expiresAt && expiresAt > ctx.clock.now() ? expiresAt : undefined }
        const view = await viewOf(ctx, key, base)
        return sendPage(reply, 200, <SecretPage {...{ base, view, text }} previous={before} />)
      } catch (error) {
        const failure = failureOf(error)
        // As it is now: it may have got its successor by this very form, sent before.
        const view = await viewOf(ctx, await findOwnKey(ctx, visit), base)
        return sendPage(reply, failure.status, <RotateKeyPage {...{ base, csrfToken, view, failure }} />)
      }
    },
  }
}
