import type { By } from '../audit/index.js'
import type { Context } from '../context.js'
import { ConflictError } from '../platform/administration-errors.js'
import { coverCommit, describeRevocation, type RevocationTarget } from '../revocation/index.js'
import { type ApiKey, apiKeys, type Db, type PresentedApiKey, revocations } from '../store/index.js'
import { chainOf, withinOwner } from './check.js'
import { type ApiKeyDescription, type CreatedApiKey, writeApiKey } from './create.js'
import { isOver, isUnknown, stateOf } from './describe.js'
import { nextPrefix } from './prefix.js'
import { nextPublicJwk, type PublicJwk } from './public-jwk.js'

/** Seconds. */
export const defaultOverlap = 7 * 86_400

/** Seconds that a token lives at most that a key is exchanged for: whoever has the key gets the next one. */
export const longestExchanged = 300

export interface RotatedApiKey extends CreatedApiKey {
  /** The one before, as it is now. */
  readonly previous: ApiKey
}

export interface RotateOptions {
  /** Seconds. */
  readonly overlap?: number | undefined
  /** Of a new key pair: a signing key needs it, and no other key has one. */
  readonly publicJwk?: PublicJwk | undefined
  readonly by: By
  /** The `client_id` by whose token it is done: the successor is what that was given. */
  readonly createdByClient?: string | undefined
}

/**
 * Gives a key a successor with the same rights. The old one lives on for the overlap, in seconds, and ends by itself; 0 ends
 * it now.
 *
 * @throws {NotFoundError} {ConflictError} where it has a successor already, or is over
 * @throws {InvalidValueError} for a signing key without a new public key
 */
export async function rotateApiKey(
  ctx: Context,
  id: string,
  { overlap = defaultOverlap, publicJwk, by, createdByClient }: RotateOptions,
): Promise<RotatedApiKey> {
  const { rotated, revocation } = await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const [before] = await apiKeys.findHeld(tx, [id])
    if (!before) throw isUnknown(id)
    requireOwner(before)
    const now = ctx.clock.now()
    if (stateOf(before.key, now) !== 'live') throw new ConflictError(await whyNot(tx, before.key, now))
    const next = { publicJwk: await nextPublicJwk(tx, before.key, publicJwk), createdByClient }
    const { key, text } = await writeApiKey(ctx, tx, { ...successorOf(requireScope(withinOwner(before))), ...next }, by)
    const expiresAt = new Date(now.getTime() + overlap * 1000)
    const previous = await apiKeys.rotate(tx, id, { successor: key.id, now, expiresAt })
    if (!previous) throw new ConflictError(await whyNot(tx, before.key, now))
    // Whoever remembers the old one asks again, and hears of its end and its successor.
    const revocation = describeRevocation(ctx, endsNow(previous, overlap), { ...by, reason: 'api_key_rotated' })
    await revocations.create(tx, revocation)
    return { rotated: { key, text, previous }, revocation }
  })
  if (revocation.kind === 'api_key') await coverCommit(ctx, revocation)
  await ctx.revocations.refresh()
  return rotated
}

/** What was exchanged for a key must not outlive it: where that could be, it ends now. */
function endsNow({ id, owner, resources }: ApiKey, overlap: number): RevocationTarget {
  const kind = overlap < longestExchanged ? 'api_key' : 'api_key_state'
  return { kind, id, owner, resources, lives: overlap > 0 }
}

/** The same rights, for as long as the one before was meant to live. A signing key needs a key pair of its own besides. */
export function successorOf(key: ApiKey): ApiKeyDescription {
  const { owner, kind, prefix, environment, name, description, scope, resources, networks, origins, tier, managed } =
    key
  const lifetime = key.expiresAt && Math.round((key.expiresAt.getTime() - key.createdAt.getTime()) / 1000)
  const rights = { scope, resources, networks, origins, tier, chain: chainOf(key), managed }
  return { owner, kind, prefix: nextPrefix(kind, prefix), environment, name, description, ...rights, lifetime }
}

/** @throws {ConflictError} for a key that ended with all that its owner had: nothing brings it back */
export function requireOwner({ key, ownerStands }: PresentedApiKey): void {
  if (!ownerStands) throw new ConflictError(`The API key ${key.id} ended with its owner: make a new one.`)
}

function requireScope(key: ApiKey): ApiKey {
  if (key.scope.length > 0) return key
  throw new ConflictError(`The API key ${key.id} may do nothing that its owner may: make a new one.`)
}

async function whyNot(tx: Db, key: ApiKey, now: Date): Promise<string> {
  const { successor } = key
  if (stateOf(key, now) === 'rotated' && successor !== undefined) {
    const [next] = await apiKeys.findHeld(tx, [successor])
    if (next && !isOver(next.key, now)) return `The API key ${key.id} has a successor already: ${successor}.`
    return `The API key ${key.id} has a successor already, ${successor}, which is over: make a new one.`
  }
  return `The API key ${key.id} is over: make a new one.`
}
