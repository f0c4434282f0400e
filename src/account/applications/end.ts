import { type By, newEvent } from '../../audit/index.js'
import type { Context } from '../../context.js'
import { describeRevocation } from '../../revocation/index.js'
import { auditEvents, consents, grants, revocations } from '../../store/index.js'

/** Grants that one statement ends. */
const atOnce = 500

/**
 * Takes back all that a user has allowed a client, and what they decided: it has to ask anew (attack 61). One that has nothing
 * stays as it is.
 */
export async function endApplication(
  ctx: Context,
  { userId, clientId }: { readonly userId: string; readonly clientId: string },
  by: By,
): Promise<void> {
  const cause = { ...by, reason: 'ended_by_user' }
  let count = 0
  let forgotten = false
  // Each piece commits by itself, since everybody who revokes waits for it. The last look finds none, so also none that was
  // on its way before.
  try {
    for (let ended: number | undefined; ended !== 0; count += ended) ended = await endSome()
  } finally {
    // Also where a later piece failed: what was committed before has happened.
    const { actor, origin } = by
    const about = { type: 'consent.withdrawn', actor, clientId, subject: userId, detail: { grants: count }, ...origin }
    if (count > 0 || forgotten) await auditEvents.create(ctx.db, newEvent(ctx, about))
    await ctx.revocations.refresh()
  }

  async function endSome(): Promise<number> {
    const ended = await ctx.db.transaction(async (tx) => {
      // First, as everybody who revokes does: no two wait for each other.
      await revocations.lock(tx)
      const decisions = await consents.remove(tx, userId, clientId)
      const left = await grants.listUnended(tx, { userId, clientId, now: ctx.clock.now(), limit: atOnce })
      const all = left.map((grant) => describeRevocation(ctx, { kind: 'grant', ...grant, clientId, userId }, cause))
      if (all.length > 0) await revocations.createAll(tx, all)
      return { grants: left.length, decisions }
    })
    forgotten ||= ended.decisions > 0
    return ended.grants
  }
}
