import type { Client } from '../../clients/index.js'
import type { Context, Origin } from '../../context.js'
import { PageError } from '../../http/index.js'
import { OAuthError } from '../../oauth/index.js'
import { freshFor, type OutboundAnswer, OutboundError } from '../../platform/outbound/index.js'
import { errorTexts } from '../../ui/index.js'
import { checkAddresses, policyOf } from '../registration/index.js'
import { countReading } from './bounds.js'
import { documentUrlProblem, isDocumentUrl } from './document-url.js'
import { ClientDocumentError, readClientDocument } from './read-document.js'
import { type ReadDocument, storeDocument } from './store-document.js'
import { createWaits, type Waits } from './waits.js'

/** Milliseconds for which a document counts, by what its answer says. CIMD §4.4. */
const kept = { least: 60_000, most: 86_400_000, unsaid: 600_000 }

export interface ClientDocuments {
  /**
   * Reads the document at a client_id, where there is one to be read by now: then the client is what it says. One that an
   * administrator has registered or disabled is not read (CIMD §6.10).
   *
   * @throws {PageError} where there is no document that describes a client: nobody knows where an error would go. CIMD §4.3
   * @throws {TooManyRequestsError}
   */
  readonly refresh: (clientId: string, origin: Origin) => Promise<void>
}

export function createClientDocuments(ctx: Context): ClientDocuments {
  /** One request for all who wait for it. What an address answered is not remembered where it is no document: CIMD §4.4. */
  const underWay = new Map<string, Promise<void>>()
  const waits = createWaits(ctx.clock)

  return {
    async refresh(clientId, origin) {
      if (!ctx.config.registration.documents || !isDocumentUrl(clientId)) return
      const known = await ctx.clients.find(clientId)
      if (known && !isStale(known, ctx.clock.now())) return
      const reading = underWay.get(clientId) ?? readAudited(ctx, waits, { clientId, known, origin })
      underWay.set(clientId, reading)
      try {
        await reading
      } finally {
        if (underWay.get(clientId) === reading) underWay.delete(clientId)
      }
    },
  }
}

/** Also where the clock was set back since (attack 133). */
function isStale({ documentHash, documentFreshUntil, disabledAt }: Client, now: Date): boolean {
  if (!documentHash || disabledAt) return false
  const left = (documentFreshUntil?.getTime() ?? 0) - now.getTime()
  return left <= 0 || left > kept.most
}

interface Reading {
  readonly clientId: string
  readonly known: Client | undefined
  readonly origin: Origin
}

async function readAudited(ctx: Context, waits: Waits, reading: Reading): Promise<void> {
  const { clientId, known, origin } = reading
  try {
    await read(ctx, waits, reading)
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
    if (error instanceof OAuthError && error.status === 429) throw error
    const { message, advice } = errorTexts.clientDocument
    throw new PageError(message, { reason, advice: `${advice} The reason was: ${shown(reason)}.`, cause: error })
  }
}

/** For whoever writes the document. Why an address gave no answer is for the log alone: else we could be asked about any network. */
function shown(reason: string): string {
  return reason.startsWith('client_document_') ? reason : 'client_document_unavailable'
}

async function read(ctx: Context, waits: Waits, { clientId, known, origin }: Reading): Promise<void> {
  const problem = documentUrlProblem(clientId)
  if (problem !== undefined) {
    throw new ClientDocumentError(`client_document_${problem}`, 'The client_id is no address that a document may have.')
  }
  const refused = ctx.outbound.problemOf(clientId)
  if (refused !== undefined) throw new OutboundError(refused, 'The client_id names no public host.')
  waits.requireTime(clientId, origin)
  await countReading(ctx, clientId, known !== undefined, origin)
  await waits.timed({ clientId, origin }, async (answered) => {
    const answer = await ctx.outbound
      .get(clientId, { share: 'documents', accept: 'application/json' })
      .finally(answered)
    await take(ctx, { clientId, known, origin }, answer)
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
