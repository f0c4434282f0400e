import type { Context } from '../../context.js'
import type { Call, Outcome } from '../../platform/delivery.js'
import { NoReplyError, post, secondsToWait } from '../../platform/post.js'
import { roleHolder } from '../../revocation/index.js'
import { type AnnouncedRevocation, type Message, settings } from '../../store/index.js'
import { toWire } from './entries.js'

/** Of RFC 8417 §2.3: what tells a Security Event Token from any other JWT. */
export const securityEventType = 'secevent+jwt'

/**
 * Says in the database who hears of every revocation from now on, whichever process revokes. By whoever delivers, at its
 * start: of several with other settings the last one rules.
 */
export async function nameReceivers({ db, config }: Context): Promise<void> {
  await settings.put(
    db,
    'revocation_receivers',
    config.revocation.receivers.map(({ url }) => url),
  )
}

/** Sends a revocation to its receiver as a Security Event Token. RFC 8935 §2. */
export async function pushRevocation(ctx: Context, message: Message, call: Call): Promise<Outcome> {
  const receiver = ctx.config.revocation.receivers.find(({ url }) => url === message.destination)
  // It was taken out of the settings, or this process has older ones.
  if (!receiver) return { kind: 'failed', reason: 'not_configured' }
  const body = await ctx.keys.sign(describeSecurityEvent(ctx.config.server.issuer, message), {
    alg: ctx.config.keys.signingAlg,
    typ: securityEventType,
  })
  const headers = {
    'Content-Type': `application/${securityEventType}`,
    Accept: 'application/json',
    ...(receiver.token === undefined ? {} : { Authorization: `Bearer ${receiver.token}` }),
  }
  try {
    const reply = await post(receiver.url, { headers, body, ...call })
    // 202 alone: whatever else answers 200 has not read it (RFC 8935 §2.2).
    if (reply.status === 202) return { kind: 'delivered' }
    if (reply.status === 400) return readRefusal(reply.body)
    const wait = secondsToWait(reply.retryAfter, ctx.clock.now())
    return { kind: 'failed', reason: `status_${reply.status}`, wait }
  } catch (error) {
    if (error instanceof NoReplyError) return { kind: 'failed', reason: error.message }
    throw error
  }
}

/**
 * RFC 8935 §2.4. `invalid_request` is about the token and stays so. The others are about keys, names and rights at one of the
 * two ends, which somebody can mend.
 */
function readRefusal(body: string): Outcome {
  const err = errorOf(body)
  if (err === 'invalid_request') return { kind: 'refused', reason: err }
  return { kind: 'failed', reason: err ?? 'status_400' }
}

const errors: ReadonlySet<unknown> = new Set([
  ...['invalid_request', 'invalid_key', 'invalid_issuer', 'invalid_audience', 'authentication_failed', 'access_denied'],
])

/** The code alone: the description is a text of somebody else. */
function errorOf(body: string): string | undefined {
  try {
    const { err } = JSON.parse(body)
    return errors.has(err) ? err : undefined
  } catch {
    return undefined
  }
}

/**
 * The claims of RFC 8417, as the OpenID Shared Signals Framework §4.1 narrows them: no `sub` and no `exp`, so that it is
 * taken for no other JWT (attack 77). `txn` is the id of the audit event, which all receivers get.
 */
export function describeSecurityEvent(issuer: string, message: Message): Readonly<Record<string, unknown>> {
  // What the statement of a revocation has written.
  const revocation = message.payload as unknown as AnnouncedRevocation
  const { type, subject } = eventOf(issuer, revocation)
  const { kind, target, position, instant } = revocation
  const entry = {
    ...JSON.parse(toWire({ ...revocation, expiresAt: revocation.expiresAt ?? undefined, audiences: [] })),
    ...(kind === 'role' ? { audience: target.slice(roleHolder(target).length + 1) } : {}),
    position: String(position),
  }
  return {
    iss: issuer,
    aud: message.destination,
    iat: Math.floor(message.createdAt.getTime() / 1000),
    jti: message.id,
    txn: revocation.event,
    sub_id: subject,
    events: { [type]: { event_timestamp: Math.floor(instant / 1000), revocation: entry } },
  }
}

const openid = 'https://schemas.openid.net/secevent'

interface SecurityEvent {
  readonly type: string
  /** A Subject Identifier: RFC 9493; `jwt_id` is of the Shared Signals Framework §3.5. */
  readonly subject: Readonly<Record<string, string>>
}

/**
 * Published types where one says just this: CAEP 1.0 §3.1, RISC 1.0 §2, OAuth Event Types 1.0 §3.2 (a draft that is in use).
 * The latter has `client-disabled` too, which is about the client that receives it; so the rest are types of ours.
 */
function eventOf(issuer: string, { kind, target, terminal, lifted }: AnnouncedRevocation): SecurityEvent {
  const account = (sub: string) => ({ format: 'iss_sub', iss: issuer, sub })
  const opaque = { format: 'opaque', id: target }
  const own = (name: string) => `${issuer}/event-type/${name}`
  const what = lifted ? 'enabled' : terminal ? 'disabled' : 'revoked'
  switch (kind) {
    case 'token':
      return {
        type: `${openid}/oauth/event-type/token-revoked`,
        subject: { format: 'jwt_id', iss: issuer, jti: target },
      }
    case 'session':
      return { type: `${openid}/caep/event-type/session-revoked`, subject: opaque }
    case 'user':
      return what === 'revoked'
        ? { type: `${openid}/caep/event-type/session-revoked`, subject: account(target) }
        : { type: `${openid}/risc/event-type/account-${what}`, subject: account(target) }
    case 'client':
      return { type: own(`client-${what}`), subject: opaque }
    case 'role':
      return { type: own('role-withdrawn'), subject: account(roleHolder(target)) }
    case 'api_key':
    case 'api_key_state':
      return { type: own(terminal ? 'api-key-revoked' : 'api-key-changed'), subject: opaque }
    case 'client_secret':
      return { type: own('client-secret-changed'), subject: opaque }
    case 'grant':
    case 'key':
    case 'api_keys':
      return { type: own(`${kind.replace('_', '-')}-revoked`), subject: opaque }
  }
}
