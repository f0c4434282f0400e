import { type Client, shareOf } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { countExactly } from '../../limits/index.js'
import { InvalidRequestUriError, TooManyRequestsError } from '../../oauth/index.js'
import { OutboundError } from '../../platform/outbound/index.js'

/** Characters. OIDC Core §6.2, RFC 9101 §5.2 */
const longestUri = 512

/**
 * The request object behind the parameter `request_uri`. Only what the client has registered is asked: else any page could have
 * us ask any address (attack 33). It is asked each time, so a fragment, which tells a cache that there is something new, says
 * nothing. OIDC Core §6.2.
 *
 * @throws {InvalidRequestUriError}
 */
export async function fetchRequestObject(ctx: Context, client: Client, requestUri: unknown): Promise<string> {
  const address = addressOf(String(requestUri))
  if (address === undefined || !client.requestUris.some((registered) => addressOf(registered) === address)) {
    throw refused('unregistered')
  }
  await count(ctx, client)
  // Of the places that its clients have, as logos have it: whoever opens a link must not hold all of them.
  const share = shareOf(client)
  if (fetched[share] >= mostFetched) throw refused('outbound_busy')
  fetched[share]++
  try {
    const { status, body } = await ctx.outbound.get(address, {
      share,
      accept: 'application/oauth-authz-req+jwt, application/jwt',
    })
    if (status !== 200) throw refused('not_200')
    return body.toString('latin1').trim()
  } catch (error) {
    if (error instanceof OutboundError) throw refused(error.reason, error)
    throw error
  } finally {
    fetched[share]--
  }
}

const mostFetched = 8
const fetched = { operators: 0, strangers: 0 }

/** Of a stranger's client, in a minute: else a link would have us ask an address of theirs as often as they like (attack 33). */
const mostOfStranger = 60

async function count(ctx: Context, { clientId, selfRegistered }: Client): Promise<void> {
  if (!selfRegistered) return
  const bound = { name: 'request-objects', limit: mostOfStranger, window: 60, burst: mostOfStranger }
  const excess = await countExactly(ctx, `request objects of\0${clientId}`, bound)
  if (!excess) return
  const reason = 'request_uri_outbound_busy'
  throw new TooManyRequestsError('Too many request objects were fetched. Try again later.', { reason, ...excess })
}

/** All that is sent of it. */
function addressOf(uri: string): string | undefined {
  return uri.length > longestUri ? undefined : uri.split('#', 1)[0]
}

function refused(problem: string, cause?: unknown): InvalidRequestUriError {
  return new InvalidRequestUriError('The request_uri leads to no request object of this client.', {
    reason: `request_uri_${problem}`,
    cause,
  })
}
