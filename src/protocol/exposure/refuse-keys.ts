import { createExposureWatch, findApiKeys } from '../../api-keys/index.js'
import type { Context } from '../../context.js'
import { type AddressScreen, originOf } from '../../http/index.js'
import { InvalidRequestError } from '../../oauth/index.js'
import { within } from '../../platform/deadline.js'

/** Milliseconds that an answer waits for the look, which goes on by itself. */
const deadline = 5_000

/**
 * Refuses whatever comes to this server with an API key in its address, path or query, whoever sends it: it stands in logs by
 * now. A key that is good is marked, and its owner told (attack 113). The answer is the same for one that was made up.
 */
export function refuseKeysInAddress(ctx: Context): AddressScreen {
  const lookForKeys = createExposureWatch(ctx)
  return (request) => {
    if (findApiKeys(request.url).length === 0) return undefined
    const refusal = new InvalidRequestError('An API key belongs into a header or a body, never into the address.', {
      reason: 'secret_in_query',
    })
    const looked = within(deadline, lookForKeys([request.url], originOf(request)))
    return looked.then(
      () => refusal,
      () => refusal,
    )
  }
}
