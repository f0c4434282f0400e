import type { Context, Origin } from '../../context.js'
import { countExactly, type Excess } from '../../limits/index.js'
import { TooManyRequestsError } from '../../oauth/index.js'
import { clientDocuments } from '../../store/index.js'
import { countRegistration } from '../registration/index.js'

/** Readings in a minute: of a client that there is, and of all others at one host. */
const readings = { known: 12, host: 60 }

/**
 * Clients that nobody has got a token with yet. They are kept for a day, or less where there are many, and found again where they
 * were.
 */
const mostUnused = 10_000

/** Seconds: the job that makes room runs as often. */
const pause = 300

/** What it is read for: a login, or a key that a client proves itself by. Each has a bound of its own, so neither uses up the other's. */
export type Purpose = 'login' | 'key'

/**
 * Counts who asks for the document of a client that nobody knows yet, before anybody else is asked or waited for: whoever opens a
 * link to us must not fill our database (attack 93), and what one network has used up is told to nobody else.
 *
 * @throws {TooManyRequestsError}
 */
export async function countCaller(ctx: Context, isKnown: boolean, origin: Origin): Promise<void> {
  if (!isKnown) await countRegistration(ctx, origin)
}

/**
 * Counts a reading, of which many may be glad: nobody has us ask somebody else as often as they like. A client that there is has a
 * bound of its own, so that no stranger uses it up.
 *
 * @throws {TooManyRequestsError}
 */
export async function countReading(ctx: Context, clientId: string, isKnown: boolean, purpose: Purpose): Promise<void> {
  const what = purpose === 'key' ? 'metadata document for keys' : 'metadata document'
  if (isKnown) return count(ctx, `${what}\0${clientId}`, readings.known)
  await count(ctx, `metadata documents at\0${new URL(clientId).host}`, readings.host)
  // Nobody's quota, so there is none to tell.
  if (await clientDocuments.areUnused(ctx.db, mostUnused)) throw tooMany('client_documents_full', { retryAfter: pause })
}

async function count(ctx: Context, key: string, limit: number): Promise<void> {
  const excess = await countExactly(ctx, key, { name: 'client-documents', limit, window: 60, burst: limit })
  if (excess) throw tooMany('client_document_readings', excess)
}

function tooMany(reason: string, told: Pick<Excess, 'retryAfter'>): TooManyRequestsError {
  return new TooManyRequestsError('Too many applications were looked up. Try again later.', { reason, ...told })
}
