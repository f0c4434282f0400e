import type { FastifyReply } from 'fastify'
import type { Context } from '../../context.js'
import { seeOther } from '../../http/index.js'
import type { OAuthError } from '../../oauth/index.js'

/** The way back to the client: a redirect URI that was compared, and the client's own state. */
export interface Channel {
  readonly redirectUri: string
  readonly state?: string | undefined
}

/** RFC 6749 §4.1.2. */
export function sendCode(ctx: Context, reply: FastifyReply, channel: Channel, code: string): FastifyReply {
  return answer(ctx, reply, channel, { code })
}

/** RFC 6749 §4.1.2.1. */
export function sendError(ctx: Context, reply: FastifyReply, channel: Channel, error: OAuthError): FastifyReply {
  return answer(ctx, reply, channel, { ...error.toJSON() })
}

/**
 * Success and error take the same way. `iss` is in both, so that a client of several servers knows who answered (RFC 9207
 * §2). What the client sent is encoded: it ends no header field (attack 124). The redirect URI keeps its own query.
 */
function answer(
  ctx: Context,
  reply: FastifyReply,
  { redirectUri, state }: Channel,
  response: Readonly<Record<string, string>>,
): FastifyReply {
  const parameters = new URLSearchParams(response)
  if (state !== undefined) parameters.set('state', state)
  parameters.set('iss', ctx.config.server.issuer)
  const separator = redirectUri.includes('?') ? (/[?&]$/.test(redirectUri) ? '' : '&') : '?'
  return seeOther(reply, `${redirectUri}${separator}${parameters}`)
}
