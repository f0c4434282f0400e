import {
  type Client,
  type ClientMetadata,
  changeClient,
  createClient,
  formatClientMetadata,
} from '../../clients/index.js'
import type { Context, Origin } from '../../context.js'
import { ConflictError, NotFoundError } from '../../platform/administration-errors.js'
import { sha256 } from '../../platform/crypto/hash.js'
import { clientDocuments, consents, type StoredClient } from '../../store/index.js'

/** Milliseconds that a client is kept which never got a token: it comes back with the next request. */
const unused = 86_400_000

export interface ReadDocument {
  readonly clientId: string
  readonly known: Client | undefined
  /** What the document says. */
  readonly metadata: ClientMetadata
  /** The same of a client as its row is at that moment. */
  readonly readAs: (before?: StoredClient) => ClientMetadata
  readonly bytes: Buffer
  readonly now: Date
  readonly freshUntil: Date
  readonly origin: Origin
}

/** Makes the client what its document says, in the database: what one process has read counts for all. */
export async function storeDocument(ctx: Context, document: ReadDocument): Promise<void> {
  try {
    await (document.known ? change(ctx, document, document.known) : create(ctx, document))
  } catch (error) {
    // Another process was first, or an administrator: what is stored by now is looked at next.
    if (!(error instanceof ConflictError || error instanceof NotFoundError)) throw error
    ctx.clients.drop(document.clientId)
  }
}

async function create(ctx: Context, { metadata, bytes, now, freshUntil, origin }: ReadDocument): Promise<void> {
  const by = { actor: 'anonymous', origin }
  await createClient(ctx, metadata, by, undefined, {
    selfRegistered: true,
    unusedUntil: new Date(now.getTime() + unused),
    documentHash: sha256(bytes),
    documentFetchedAt: now,
    documentFreshUntil: freshUntil,
  })
}

async function change(ctx: Context, document: ReadDocument, known: Client): Promise<void> {
  const { clientId, metadata, readAs, bytes, now, freshUntil, origin } = document
  const hash = sha256(bytes)
  if (known.documentHash?.equals(hash) && isSame(known, metadata)) {
    await clientDocuments.touch(ctx.db, { clientId, hash, fetchedAt: now, freshUntil })
    ctx.clients.drop(clientId)
    return
  }
  await changeClient(ctx, clientId, {
    read: readAs,
    by: { actor: `client:${clientId}`, origin },
    require({ disabledAt, documentHash }) {
      if (disabledAt || !documentHash) throw new ConflictError('It is disabled, or an administrator’s own, by now.')
    },
    own: { documentHash: hash, documentFetchedAt: now, documentFreshUntil: freshUntil },
    async more(tx, before) {
      // Attack 96, CIMD §6.3: who allowed it something had read another document.
      if (!before.documentHash?.equals(hash)) await consents.removeOfClient(tx, clientId)
    },
  })
}

function isSame(known: StoredClient, metadata: ClientMetadata): boolean {
  return JSON.stringify(formatClientMetadata(known)) === JSON.stringify(formatClientMetadata({ ...known, ...metadata }))
}
