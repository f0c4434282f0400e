import type { By } from '../audit/index.js'
import type { Context } from '../context.js'
import { describeRevocation, revoke } from '../revocation/index.js'
import { type Db, revocations, type StoredClient } from '../store/index.js'

type Known = Pick<StoredClient, 'subjectType' | 'sectorIdentifierUri' | 'redirectUris'>

interface Change {
  readonly clientId: string
  readonly before: Known
  readonly after: Known
  readonly by: By
}

/** The host that stands for all clients of one party. Undefined: users are known by their ids. OIDC Core §8.1 */
export function sectorOf({ subjectType, sectorIdentifierUri, redirectUris }: Known): string | undefined {
  if (subjectType !== 'pairwise') return undefined
  const [uri = ''] = sectorIdentifierUri === undefined ? redirectUris : [sectorIdentifierUri]
  return new URL(uri).host
}

/**
 * The part of a change of a registration that is about by what its users are known: what they allowed ends where that becomes
 * another. Else a refresh or UserInfo would tell an application what its users are called in a sector that it has just named,
 * and OIDC Core §12.2 has one subject for the whole life of a grant. The caller holds the lock of revocations and the row.
 *
 * @returns whether the caller ends them once more, after the commit
 */
export async function endOtherSubjects(
  ctx: Context,
  tx: Db,
  { clientId, before, after, by }: Change,
): Promise<boolean> {
  if (sectorOf(before) === sectorOf(after)) return false
  await revocations.create(tx, describeRevocation(ctx, { kind: 'client', clientId }, causeOf(by)))
  return true
}

/** What somebody allowed at the redirect URIs of before, while the change was on its way. */
export function endOtherSubjectsOfMeanwhile(ctx: Context, { clientId, by }: Pick<Change, 'clientId' | 'by'>) {
  return revoke(ctx, { kind: 'client', clientId }, causeOf(by))
}

const causeOf = (by: By) => ({ ...by, reason: 'client_subjects_changed' })
