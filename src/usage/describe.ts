import type { UsedNetwork } from '../store/index.js'
import type { AdoptedKey, AdoptedSecret } from './adoption.js'
import type { UsageReport } from './report.js'

/** As it goes over the wire, and out of the command line. */
export function describeUsage({ since, uses, networks }: UsageReport): Record<string, unknown> {
  return {
    since: since.toISOString(),
    uses: uses.map(({ time, ...use }) => ({ time: time.toISOString(), ...use })),
    networks: networks.map(describeNetwork),
  }
}

/** Who is still on a key that has a successor. */
export function describeAdoption({
  key,
  uses,
  lastUsedAt,
  callers,
  successorUses,
}: AdoptedKey): Record<string, unknown> {
  return {
    id: key.id,
    name: key.name,
    owner: { kind: key.owner.kind, id: key.owner.id },
    rotated_at: key.rotatedAt?.toISOString(),
    ends_at: key.expiresAt?.toISOString(),
    uses,
    last_used_at: lastUsedAt?.toISOString(),
    callers: callers.map(describeNetwork),
    successor: key.successor,
    successor_uses: successorUses,
  }
}

/** Which client still has a secret that was rotated. */
export function describeAdoptedSecret({ secret, uses, lastUsedAt, callers }: AdoptedSecret): Record<string, unknown> {
  return {
    id: secret.id,
    client_id: secret.clientId,
    name: secret.name,
    rotated_at: secret.rotatedAt.toISOString(),
    ends_at: secret.endsAt.toISOString(),
    uses,
    last_used_at: lastUsedAt?.toISOString(),
    callers: callers.map(describeNetwork),
    successor: secret.successor,
    successor_last_used_at: secret.successorLastUsedAt?.toISOString(),
  }
}

function describeNetwork({ network, api, count, days, firstSeen, lastSeen }: UsedNetwork): Record<string, unknown> {
  return { network, api, count, days, first_seen: firstSeen.toISOString(), last_seen: lastSeen.toISOString() }
}
