import { type Client, sectorOf } from '../clients/index.js'
import type { Context } from '../context.js'
import { hmacSha256 } from '../platform/crypto/hash.js'
import type { Purpose } from '../secrets/index.js'

type Known = Pick<Client, 'subjectType' | 'sectorIdentifierUri' | 'redirectUris'>

/**
 * By what a client knows a user, in ID tokens and at UserInfo: the id of the user, or one that the clients of its sector alone
 * have, so that two sectors cannot tell that it is the same person. OIDC Core §8.
 */
export function subjectFor(ctx: Pick<Context, 'secrets'>, client: Known, userId: string): string {
  const sector = sectorOf(client)
  return sector === undefined ? userId : pseudonym(ctx, 'pairwise subject', `${sector}\0${userId}`)
}

/** By what a client knows a session of its user: where subjects are pairwise, this must not tell either that two are the same. */
export function sidFor(
  ctx: Pick<Context, 'secrets'>,
  client: Known & Pick<Client, 'clientId'>,
  sessionId: string,
): string {
  if (sectorOf(client) === undefined) return sessionId
  return pseudonym(ctx, 'pairwise session', `${client.clientId}\0${sessionId}`)
}

function pseudonym({ secrets }: Pick<Context, 'secrets'>, purpose: Purpose, name: string): string {
  // The oldest: a subject is the same for ever.
  const key = secrets.all.at(-1) ?? secrets.current
  return hmacSha256(key.derive(purpose), name).toString('base64url')
}
