import type { By } from '../audit/index.js'
import type { Context } from '../context.js'
import { ConflictError, InvalidValueError } from '../platform/administration-errors.js'
import { describeRevocation } from '../revocation/index.js'
import { clients, revocations } from '../store/index.js'
import { isUnknown, reread, usesSecret } from './find.js'
import type { RegisteredClient } from './registration.js'
import { generateSecret, hashSecret } from './secrets.js'

/** Seconds that the old secret stays valid where nobody said otherwise: a day, to bring out the new one. */
export const defaultSecretOverlap = 86_400
const longestSecretOverlap = 30 * 86_400

/**
 * Makes a new secret. The one before it stays valid for the overlap; an older one ends at once, so that never more than
 * two are live. APIs that remember that one was right hear of it within the second, and ask how long it still is.
 *
 * @param overlap seconds from 0 (the old one ends at once) to 30 days
 * @throws {NotFoundError} {ConflictError} for a client without a secret; {InvalidValueError}
 */
export async function rotateSecret(
  ctx: Context,
  clientId: string,
  { overlap = defaultSecretOverlap, by }: { readonly overlap?: number; readonly by: By },
): Promise<RegisteredClient & { readonly clientSecret: string }> {
  if (!Number.isInteger(overlap) || overlap < 0 || overlap > longestSecretOverlap) {
    throw new InvalidValueError(`The overlap is a whole number of seconds from 0 to ${longestSecretOverlap}.`)
  }
  const clientSecret = generateSecret(ctx)
  const secret = await hashSecret(ctx, clientSecret)
  await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const client = await clients.findForUpdate(tx, clientId)
    if (!client) throw isUnknown(clientId)
    if (!usesSecret(client)) {
      throw new ConflictError(`The client ${clientId} has no secret: its method is ${client.tokenEndpointAuthMethod}.`)
    }
    await clients.addSecret(tx, clientId, secret, new Date(secret.createdAt.getTime() + overlap * 1000))
    const target = { kind: 'client_secret', clientId, resources: client.allowedResources } as const
    const rotated = describeRevocation(ctx, target, { ...by, reason: 'client_secret_rotated' })
    await revocations.create(tx, { ...rotated, event: { ...rotated.event, detail: { overlap } } })
  })
  return { client: await reread(ctx, clientId), clientSecret }
}
