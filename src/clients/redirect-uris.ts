import type { RegisteredRedirectUris } from '../oauth/index.js'
import type { StoredClient } from '../store/index.js'
import { isPublicClient } from './metadata.js'

type Known = Pick<StoredClient, 'redirectUris' | 'applicationType' | 'tokenEndpointAuthMethod' | 'documentHash'>

/** What a redirect URI of a request is held against. */
export function registeredRedirectUris(client: Known): RegisteredRedirectUris {
  const { redirectUris: registered, applicationType, documentHash } = client
  return { registered, applicationType, isPublicDocument: documentHash !== undefined && isPublicClient(client) }
}
