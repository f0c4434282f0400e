import { Type } from '@sinclair/typebox'
import { type Client, isDocumentOff } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { PageError } from '../../http/index.js'
import { addressOf } from '../../interaction/index.js'
import { compileParameters, readParameters } from '../../oauth/index.js'
import type { Session } from '../../store/index.js'
import { idTokenType, sidFor, subjectFor } from '../../tokens/index.js'
import { errorTexts } from '../../ui/index.js'

const parse = compileParameters(
  Type.Object({
    id_token_hint: Type.Optional(Type.String()),
    client_id: Type.Optional(Type.String()),
    post_logout_redirect_uri: Type.Optional(Type.String()),
    state: Type.Optional(Type.String()),
  }),
)

/** What an application asks for. RP-Initiated Logout §2. `logout_hint` and `ui_locales` are wishes, and change nothing here. */
export interface LogoutRequest {
  readonly client?: Client | undefined
  /** Of an ID token that this client got, however old. */
  readonly hint?: { readonly sub: string; readonly sid: unknown } | undefined
  /** Where the browser goes afterwards: one that the client registered. */
  readonly redirectUri?: string | undefined
  readonly state?: string | undefined
}

/** @throws {PageError}: never a redirect (attack 12) */
export async function readLogoutRequest(ctx: Context, encoded: string): Promise<LogoutRequest> {
  const parameters = parse(readParameters(encoded, { long: ['id_token_hint'] }))
  const { id_token_hint: token, client_id: named, post_logout_redirect_uri: redirectUri, state } = parameters
  const hint = token === undefined ? undefined : await readHint(ctx, token)
  // Of a key that is long gone, or was never ours: as if there were none, so the user is asked, and nobody is gone back to for it.
  if (token !== undefined && !hint && named === undefined) return {}
  if (hint && named !== undefined && hint.clientId !== named) throw refused(ctx, 'client_of_hint_is_another')
  const clientId = hint?.clientId ?? named
  const client = clientId === undefined ? undefined : await ctx.clients.find(clientId)
  if (named !== undefined && !client) throw refused(ctx, 'client_unknown')
  if (redirectUri === undefined) return { client, hint }
  // §3: without somebody whose it is there is nothing to compare it with.
  if (!client) throw refused(ctx, clientId === undefined ? 'client_not_named' : 'client_unknown')
  const disabled = client.disabledAt || ctx.revocations.find({ kind: 'client', target: client.clientId })?.terminal
  if (disabled) throw refused(ctx, 'client_disabled')
  if (isDocumentOff(ctx, client)) throw refused(ctx, 'client_documents_off')
  // Texts, as redirect URIs are: no two spellings are the same.
  if (!client.postLogoutRedirectUris.includes(redirectUri)) throw refused(ctx, 'post_logout_redirect_uri_unregistered')
  return { client, hint, redirectUri, state }
}

/** What has a meaning here: what was posted by mistake does not get into an address (attack 73). */
export function sameAgain(encoded: string): string {
  const given = Object.entries(parse(readParameters(encoded, { long: ['id_token_hint'] })))
  const known = given.filter(([name]) => names.includes(name))
  return new URLSearchParams(known.map(([name, value]) => [name, String(value)])).toString()
}

const names = ['id_token_hint', 'client_id', 'post_logout_redirect_uri', 'state']

/** A dead end with a way to sign out. */
export function refused(ctx: Context, reason: string): PageError {
  const { message, advice } = errorTexts.logoutRefused
  return new PageError(message, {
    reason,
    advice,
    actions: [{ href: addressOf(ctx, '/account'), label: 'Your account' }],
  })
}

/** Whether the client that asks got its ID token in this very session. */
export function isOfSession(ctx: Context, { client, hint }: LogoutRequest, session: Session): boolean {
  if (!client || !hint) return false
  return hint.sid === sidFor(ctx, client, session.id) && hint.sub === subjectFor(ctx, client, session.userId)
}

/** The redirect URI keeps its own query. §3 */
export function redirectAfterLogout(redirectUri: string, state: string | undefined): string {
  if (state === undefined) return redirectUri
  const separator = redirectUri.includes('?') ? (/[?&]$/.test(redirectUri) ? '' : '&') : '?'
  return `${redirectUri}${separator}${new URLSearchParams({ state })}`
}

/**
 * §2: one of ours, of any session that may live. Any other JWT of ours has another type (attack 77).
 *
 * @returns undefined where it is of a key that there is not
 */
async function readHint(ctx: Context, hint: string) {
  const token = await ctx.keys.verifyHint(hint, idTokenType)
  if (token === 'key_unknown') return undefined
  const { iss, aud, sub, sid } = token?.claims ?? {}
  if (iss === ctx.config.server.issuer && typeof aud === 'string' && typeof sub === 'string') {
    return { clientId: aud, sub, sid }
  }
  throw refused(ctx, 'id_token_hint_invalid')
}
