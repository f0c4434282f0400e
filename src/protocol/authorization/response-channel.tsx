import type { FastifyReply } from 'fastify'
import type { Context } from '../../context.js'
import { seeOther, sendPage } from '../../http/index.js'
import type { OAuthError } from '../../oauth/index.js'
import { FormPostPage } from './form-post.page.js'

/** How an answer goes back. OAuth 2.0 Multiple Response Types §2.1, OAuth 2.0 Form Post Response Mode. */
export const responseModes = ['query', 'fragment', 'form_post'] as const

export type ResponseMode = (typeof responseModes)[number]

export function isResponseMode(text: string | undefined): text is ResponseMode {
  return (responseModes as readonly (string | undefined)[]).includes(text)
}

/** The way back to the client: a redirect URI that was compared, and the client's own state. */
export interface Channel {
  readonly redirectUri: string
  readonly state?: string | undefined
  /** Undefined: the query, which is the default of a code. */
  readonly responseMode?: ResponseMode | undefined
}

/** RFC 6749 §4.1.2. */
export function sendCode(ctx: Context, reply: FastifyReply, channel: Channel, code: string): FastifyReply {
  return answer(ctx, reply, channel, { code })
}

/** OIDC Core §3.2.2.5. @param channel never that of the query */
export function sendTokens(
  ctx: Context,
  reply: FastifyReply,
  channel: Channel,
  tokens: Readonly<Record<string, string>>,
): FastifyReply {
  if (channel.responseMode === undefined || channel.responseMode === 'query') throw new Error('tokens in a query')
  return answer(ctx, reply, channel, tokens)
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
  { redirectUri, state, responseMode = 'query' }: Channel,
  response: Readonly<Record<string, string>>,
): FastifyReply {
  const parameters = new URLSearchParams(response)
  if (state !== undefined) parameters.set('state', state)
  parameters.set('iss', ctx.config.server.issuer)
  if (responseMode === 'form_post') {
    const page = <FormPostPage action={redirectUri} parameters={[...parameters]} />
    return sendPage(reply, 200, page, { submitsItself: true })
  }
  if (responseMode === 'fragment') return seeOther(reply, `${redirectUri}#${parameters}`)
  const separator = redirectUri.includes('?') ? (/[?&]$/.test(redirectUri) ? '' : '&') : '?'
  return seeOther(reply, `${redirectUri}${separator}${parameters}`)
}
