import type { Context, Origin } from '../context.js'
import { InvalidClientError } from '../oauth/index.js'
import type { Logger } from '../platform/log.js'
import { networkOf } from '../platform/network.js'
import { type ClientUse, clients, type Database, unusedClients } from '../store/index.js'
import type { Client } from './directory.js'

/** When clients and their secrets were last used: kept in memory, written behind in batches. */
export interface ClientUseTrail {
  readonly record: (use: ClientUse) => void
  readonly flush: () => Promise<void>
}

export function createClientUseTrail(db: Database, log: Logger): ClientUseTrail {
  let pending = new Map<string, ClientUse>()
  return {
    record(use) {
      pending.set(use.secretId ?? use.clientId, use)
    },
    async flush() {
      if (pending.size === 0) return
      const taken = pending
      pending = new Map()
      try {
        await clients.recordUse(db, [...taken.values()])
      } catch (error) {
        // No more than there are clients and secrets: they wait for the next run.
        pending = new Map([...taken, ...pending])
        log.warn({ err: error }, 'the last use of clients waits for the database')
      }
    },
  }
}

/**
 * A client that registered itself is about to get its first token, and is none any more that nobody uses. Its row decides before the
 * token is given away: its deletion, of which nobody hears, came first, or leaves it alone. It costs each client one statement.
 *
 * @throws {InvalidClientError} it is deleted
 */
export async function keepUsed(ctx: Context, clientId: string): Promise<void> {
  const isKept = await unusedClients.keep(ctx.db, clientId)
  ctx.clients.drop(clientId)
  if (!isKept) throw new InvalidClientError('Client authentication failed.', { reason: 'client_unused' })
}

export interface Issued {
  readonly grantType: string
  readonly audience: string
  readonly scope: string
}

/**
 * Counts a token that was issued to a client. A public client is on its users' devices: from where it asks says nothing of the
 * client, and is theirs.
 */
export function countIssued(
  ctx: Context,
  { clientId, tokenEndpointAuthMethod }: Pick<Client, 'clientId' | 'tokenEndpointAuthMethod'>,
  { grantType, audience, scope }: Issued,
  { ip }: Origin,
): void {
  const from = ip === undefined || tokenEndpointAuthMethod === 'none' ? undefined : networkOf(ip)
  const at = ctx.clock.now()
  ctx.usage.record({ kind: 'client', credential: clientId, api: audience, scope, outcome: grantType, at, from })
}
