import type { Client } from '../../clients/index.js'
import type { Context } from '../../context.js'
import type { Call, Outcome } from '../../platform/delivery.js'
import { OutboundError } from '../../platform/outbound/index.js'
import { secondsToWait } from '../../platform/post.js'
import type { AnnouncedLogout, Message } from '../../store/index.js'
import { idTokenAlgOf, sidFor, subjectFor } from '../../tokens/index.js'

/** Of Back-Channel Logout §2.4: what tells a logout token from any other JWT (attack 77). */
export const logoutTokenType = 'logout+jwt'

const eventType = 'http://schemas.openid.net/event/backchannel-logout'

/** Seconds. §2.4: two minutes at most. It is made for each attempt. */
const lifetime = 120

/** Tells a client that a session of its user, or all of them, ended. Back-Channel Logout §2.5, §2.8. */
export async function pushLogout(ctx: Context, message: Message, { signal }: Call): Promise<Outcome> {
  // By its name: where it is told is what it has registered now, and not what an address that it gave up once was.
  const client = await ctx.clients.find(message.destination)
  if (client?.backchannelLogoutUri === undefined) return { kind: 'refused', reason: 'no_logout_uri' }
  if (client.disabledAt) return { kind: 'refused', reason: 'client_disabled' }
  const token = await makeLogoutToken(ctx, client, message)
  const body = new URLSearchParams({ logout_token: token }).toString()
  const contentType = 'application/x-www-form-urlencoded'
  try {
    const sent = { share: 'logouts', contentType, body, signal } as const
    const { status, headers } = await ctx.outbound.post(client.backchannelLogoutUri, sent)
    // §2.8: 204 is what some frameworks make of an answer without a body. 400 is about the token, and stays so.
    if (status === 200 || status === 204) return { kind: 'delivered' }
    if (status === 400) return { kind: 'refused', reason: 'status_400' }
    return { kind: 'failed', reason: `status_${status}`, wait: secondsToWait(headers['retry-after'], ctx.clock.now()) }
  } catch (error) {
    if (error instanceof OutboundError) return { kind: 'failed', reason: error.reason }
    throw error
  }
}

/** §2.4: no `nonce`, so that it is taken for no ID token. `jti` stays through all attempts. */
function makeLogoutToken(ctx: Context, client: Client, { id, payload }: Message): Promise<string> {
  const { user, sid } = readAnnounced(payload)
  const iat = Math.floor(ctx.clock.now().getTime() / 1000)
  const claims = {
    iss: ctx.config.server.issuer,
    sub: subjectFor(ctx, client, user),
    aud: client.clientId,
    iat,
    exp: iat + lifetime,
    jti: id,
    events: { [eventType]: {} },
    ...(sid === null ? {} : { sid: sidFor(ctx, client, sid) }),
  }
  return ctx.keys.sign(claims, { alg: idTokenAlgOf(client), typ: logoutTokenType })
}

/** What the statement of the end of a session has written. */
function readAnnounced({ user, sid }: Message['payload']): Pick<AnnouncedLogout, 'user' | 'sid'> {
  if (typeof user === 'string' && (sid === null || typeof sid === 'string')) return { user, sid }
  throw new TypeError('The message says of no user that they were signed out.')
}
