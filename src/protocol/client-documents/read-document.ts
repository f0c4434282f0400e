import type { ClientMetadata } from '../../clients/index.js'
import { type JsonObject, OAuthError, readJsonObject } from '../../oauth/index.js'
import type { OutboundAnswer } from '../../platform/outbound/index.js'
import type { StoredClient } from '../../store/index.js'
import { type RegistrationPolicy, readRegistration, registrable } from '../registration/index.js'

/** Bytes, as recommended. CIMD §6.6. */
const largest = 5 * 1024

/** What has no shared secret: nobody could have agreed on one. CIMD §4.1, §6.2. */
const methods: readonly unknown[] = ['none', 'private_key_jwt']

/** What its users allow it; never tokens of its own, which nobody would have allowed. */
const ownGrantTypes: readonly unknown[] = ['authorization_code', 'refresh_token']

/** What stands at a client_id does not describe a client, or none that is taken here. */
export class ClientDocumentError extends Error {
  override readonly name = 'ClientDocumentError'
  readonly reason: string
  /** By its name in a list of ours. */
  readonly field: string | undefined

  constructor(reason: string, message: string, { field, ...options }: ErrorOptions & { readonly field?: string } = {}) {
    super(message, options)
    this.reason = reason
    this.field = field
  }
}

/**
 * What the document at a client_id says of its client, by the policy for clients that register themselves. What a client may not
 * say of itself is ignored: a document is written for all servers, and has what others know (attack 94).
 *
 * @param before as it was read last: what an administrator decided about it stays
 * @throws {ClientDocumentError}
 */
export function readClientDocument(
  clientId: string,
  answer: OutboundAnswer,
  policy: RegistrationPolicy,
  before?: StoredClient,
): ClientMetadata {
  const document = documentOf(answer)
  // Letter by letter. CIMD §4.1, RFC 3986 §6.2.1
  if (document['client_id'] !== clientId)
    throw wrong('client_id_differs', 'client_id is not the address of the document', 'client_id')
  for (const name of ['client_secret', 'client_secret_expires_at']) {
    if (document[name] !== undefined) throw wrong('secret', `${name} is of no use in public`, name)
  }
  const { token_endpoint_auth_method: method = 'none', grant_types: grantTypes } = document
  if (!methods.includes(method))
    throw wrong(
      'auth_method',
      'token_endpoint_auth_method needs a shared secret, or is unknown',
      'token_endpoint_auth_method',
    )
  const known = Object.entries(document).filter(([name]) => registrable.has(name) || name === 'software_statement')
  const asked = {
    ...Object.fromEntries(known),
    token_endpoint_auth_method: method,
    ...(Array.isArray(grantTypes) ? { grant_types: grantTypes.filter((name) => ownGrantTypes.includes(name)) } : {}),
  }
  try {
    // What it had by its document of before is no decision of anybody: the policy of today bounds all of it.
    const own = { firstParty: false, redirectUris: [], postLogoutRedirectUris: [], grantTypes: [], scope: [] }
    const metadata = readRegistration(asked, policy, before && { ...before, ...own })
    return { ...metadata, clientId, requirePkce: true }
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error
    const { reason, field, message } = error
    throw new ClientDocumentError(`client_document_${reason}`, message, { field, cause: error })
  }
}

/** CIMD §4, §4.1. */
function documentOf({ status, headers, body }: OutboundAnswer): JsonObject {
  if (status !== 200) throw wrong('not_200', `the answer has the status ${status}`)
  // A page that repeats what it is sent must not become a client (attack 96).
  if (!/^application\/(?:[\w.!#$&^-]+\+)?json\s*(?:;|$)/i.test(headers['content-type'] ?? '')) {
    throw wrong('not_json', 'the Content-Type is not that of JSON')
  }
  if (body.length > largest) throw wrong('too_large', `the document has more than ${largest} bytes`)
  const document = readJsonObject(body)
  if (!document) throw wrong('malformed', 'the document is no JSON object in which each name stands once')
  return document
}

function wrong(problem: string, message: string, field?: string): ClientDocumentError {
  return new ClientDocumentError(`client_document_${problem}`, `${message}.`, { field })
}
