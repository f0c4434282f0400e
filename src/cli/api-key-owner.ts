import { findClient } from '../clients/index.js'
import type { Context } from '../context.js'
import { findUser } from '../identity/index.js'
import { NotFoundError } from '../platform/administration-errors.js'
import type { ApiKeyOwner } from '../store/index.js'

export const ownerOption = {
  type: 'string',
  value: 'USER|CLIENT',
  description: 'Whose keys: an e-mail address or id of a user, or a client_id.',
} as const

/** A user by e-mail address or id, else a client. */
export async function ownerOf(ctx: Context, who: string): Promise<ApiKeyOwner> {
  try {
    return { kind: 'user', id: (await findUser(ctx, who)).id }
  } catch (error) {
    if (!(error instanceof NotFoundError) || who.includes('@')) throw error
    return { kind: 'client', id: (await findClient(ctx, who)).clientId }
  }
}
