import { type Client, ClientKeysAwayError } from '../../clients/index.js'
import type { Context, Origin } from '../../context.js'
import { PageError } from '../../http/index.js'
import { OAuthError } from '../../oauth/index.js'
import { monotonicMilliseconds } from '../../platform/monotonic.js'
import { freshFor, type OutboundAnswer, OutboundError } from '../../platform/outbound/index.js'
import { errorTexts } from '../../ui/index.js'
import { checkAddresses, policyOf } from '../registration/index.js'
import { countCaller, countReading, type Purpose } from './bounds.js'
import { documentUrlProblem, isDocumentUrl } from './document-url.js'
import { ClientDocumentError, readClientDocument } from './read-document.js'
import { type ReadDocument, storeDocument } from './store-document.js'
import { createWaits, type Waits } from './waits.js'

/** Milliseconds for which a document counts, by what its answer says. CIMD §4.4. */
const kept = { least: 60_000, most: 86_400_000, unsaid: 600_000 }

/** Milliseconds for which keys of a document that should be read again still count, where it cannot be: as those of a `jwks_uri`. */
const patience = 3_600_000

/** Milliseconds after a reading in which a key that is not known has nothing read (attack 79). */
const pause = 5_000
const justBefore = 'asked_just_before'
const askedJustBefore = `client_document_${justBefore}`

export interface ClientDocuments {
  /**
   * Reads the document at a client_id, where there is one to be read by now: then the client is what it says. One that an
   * administrator has registered or disabled is not read (CIMD §6.10).
   *
   * @throws {PageError} where there is no document that describes a client: nobody knows where an error would go. CIMD §4.3
   * @throws {TooManyRequestsError}
   */
  readonly refresh: (clientId: string, origin: Origin) => Promise<void>
  /** Whether what is known of a client is to be read again before it counts. */
  readonly isStale: (client: Client) => boolean
  /**
   * Reads the document of a client again for a key that it has shown: where it is stale, or has not that key. What was known of it
   * stands for an hour where that fails: its users are signed in already, and its host may be away.
   *
   * @returns why a key that is not known may be in the document all the same; undefined where it was read since the request came
   * @throws {ClientKeysAwayError} where what was known counts no more
   */
  readonly readForKey: (client: Client, asked: AskedForKey) => Promise<string | undefined>
}

export interface AskedForKey {
  readonly origin: Origin
  /** When the request with it came, in monotonic milliseconds. */
  readonly since: number
}

interface UnderWay {
  /** In monotonic milliseconds. */
  readonly began: number
  readonly reading: Promise<void>
}

export function createClientDocuments(ctx: Context): ClientDocuments {
  /** One request for all who wait for it. What an address answered is not remembered where it is no document: CIMD §4.4. */
  const underWay = new Map<string, UnderWay>()
  const waits = createWaits(ctx.clock)

  const isOn = (clientId: string): boolean => ctx.config.registration.documents && isDocumentUrl(clientId)
  const isStale = (client: Client): boolean => isOn(client.clientId) && isOver(client, ctx.clock.now())

  /**
   * Joins the reading that is under way, or begins one. Whoever asks is let in before, each by itself: what is refused to one
   * network is no answer to another.
   *
   * @param find the client, where it is known and where there still is something to read
   */
  async function join(clientId: string, { purpose, origin, find }: Joining): Promise<number | undefined> {
    const key = `${purpose} ${clientId}`
    const before = await find()
    if (before === 'current') return undefined
    if (!underWay.has(key)) {
      await audited(ctx, { clientId, known: before, origin }, () =>
        admit(ctx, waits, { clientId, known: before, origin }),
      )
    }
    const known = underWay.has(key) ? before : await find()
    if (known === 'current') return undefined
    const begun = underWay.get(key) ?? begin(key, { clientId, known, origin }, purpose)
    try {
      await begun.reading
    } finally {
      if (underWay.get(key) === begun) underWay.delete(key)
    }
    return begun.began
  }

  function begin(key: string, reading: Reading, purpose: Purpose): UnderWay {
    const begun = {
      began: monotonicMilliseconds(),
      reading: audited(ctx, reading, () => read(ctx, waits, reading, purpose)),
    }
    underWay.set(key, begun)
    return begun
  }

  return {
    isStale,

    async refresh(clientId, origin) {
      if (!isOn(clientId)) return
      async function find() {
        const known = await ctx.clients.find(clientId)
        return known && !isStale(known) ? 'current' : known
      }
      try {
        await join(clientId, { purpose: 'login', origin, find })
      } catch (error) {
        throw onPage(error)
      }
    },

    async readForKey(client, { origin, since }) {
      const { clientId, documentHash, documentFetchedAt, documentFreshUntil, disabledAt } = client
      if (!isOn(clientId) || !documentHash || disabledAt) return undefined
      const now = ctx.clock.now().getTime()
      const age = now - (documentFetchedAt?.getTime() ?? 0)
      if (!isStale(client) && age >= 0 && age < pause) return askedJustBefore
      async function find() {
        const known = await ctx.clients.find(clientId)
        return known?.documentFetchedAt?.getTime() === documentFetchedAt?.getTime() ? known : 'current'
      }
      try {
        const began = await join(clientId, { purpose: 'key', origin, find })
        // Whoever waited for the reading of somebody else may have rotated after it began.
        return began !== undefined && began >= since ? undefined : askedJustBefore
      } catch (error) {
        const reason = reasonOf(error)
        if (reason === undefined) throw error
        const left = (documentFreshUntil?.getTime() ?? 0) + patience - now
        // Nor for a network that has used up its time: else whoever has a key that was taken out keeps it by slow documents.
        const stands = left > 0 && left <= kept.most + patience && waits.hasTime(origin)
        if (!stands) throw new ClientKeysAwayError(reason)
        return reason
      }
    },
  }
}

interface Joining {
  readonly purpose: Purpose
  readonly origin: Origin
  readonly find: () => Promise<Client | undefined | 'current'>
}

/** Also where the clock was set back since (attack 133). */
function isOver({ documentHash, documentFreshUntil, disabledAt }: Client, now: Date): boolean {
  if (!documentHash || disabledAt) return false
  const left = (documentFreshUntil?.getTime() ?? 0) - now.getTime()
  return left <= 0 || left > kept.most
}

interface Reading {
  readonly clientId: string
  readonly known: Client | undefined
  readonly origin: Origin
}

/** Why a document is not taken is in the audit, by whom it was that asked. */
async function audited(ctx: Context, { clientId, known, origin }: Reading, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    const reason = reasonOf(error)
    if (reason === undefined) throw error
    const field = error instanceof ClientDocumentError || error instanceof OAuthError ? error.field : undefined
    ctx.audit.count({
      type: 'client.document_refused',
      actor: 'system',
      clientId: known?.clientId,
      reason,
      ip: origin.ip,
      detail: field === undefined ? undefined : { field },
    })
    ctx.audit.told(error as object)
    // An address with a mistake in it may have a password, too.
    const address = documentUrlProblem(clientId) === undefined ? clientId : undefined
    const problem = (error as Error).message
    ctx.log.info({ clientId: address, reason, field, problem }, 'the document of a client was refused')
    throw error
  }
}

/** What a person is told. */
function onPage(error: unknown): unknown {
  const reason = reasonOf(error)
  if (reason === undefined || (error instanceof OAuthError && error.status === 429)) return error
  const { message, advice } = errorTexts.clientDocument
  return new PageError(message, { reason, advice: `${advice} The reason was: ${shown(reason)}.`, cause: error })
}

/** For whoever writes the document. Why an address gave no answer is for the log alone: else we could be asked about any network. */
function shown(reason: string): string {
  return reason.startsWith('client_document_') ? reason : 'client_document_unavailable'
}

/** Whether this one may have it read. */
async function admit(ctx: Context, waits: Waits, { clientId, known, origin }: Reading): Promise<void> {
  const problem = documentUrlProblem(clientId)
  if (problem !== undefined) {
    throw new ClientDocumentError(`client_document_${problem}`, 'The client_id is no address that a document may have.')
  }
  const refused = ctx.outbound.problemOf(clientId)
  if (refused !== undefined) throw new OutboundError(refused, 'The client_id names no public host.')
  waits.requireTime(clientId, origin)
  await countCaller(ctx, known !== undefined, origin)
}

async function read(ctx: Context, waits: Waits, reading: Reading, purpose: Purpose): Promise<void> {
  const { clientId, known, origin } = reading
  await countReading(ctx, clientId, known !== undefined, purpose)
  await waits.timed({ clientId, origin }, async (answered) => {
    const answer = await ctx.outbound
      .get(clientId, { share: 'documents', accept: 'application/json' })
      .finally(answered)
    await take(ctx, reading, answer)
  })
}

async function take(ctx: Context, { clientId, known, origin }: Reading, answer: OutboundAnswer): Promise<void> {
  const readAs: ReadDocument['readAs'] = (before) => readClientDocument(clientId, answer, policyOf(ctx), before)
  const metadata = readAs(known)
  await checkAddresses(ctx, metadata, 'documents')
  const now = ctx.clock.now()
  const freshUntil = new Date(now.getTime() + freshFor(answer, kept))
  await storeDocument(ctx, { clientId, known, metadata, readAs, bytes: answer.body, now, freshUntil, origin })
}

/** @returns undefined for what is a fault of ours */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof ClientDocumentError || error instanceof OutboundError) return error.reason
  if (!(error instanceof OAuthError)) return undefined
  return error.status < 500 || error.cause instanceof OutboundError ? error.reason : undefined
}
