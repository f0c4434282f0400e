import type { Context } from '../context.js'
import type { StoredClient } from '../store/index.js'
import { isPublicClient } from './metadata.js'

type Asking = Pick<
  StoredClient,
  'requirePkce' | 'selfRegistered' | 'documentHash' | 'tokenEndpointAuthMethod' | 'applicationType'
>

/**
 * Whether a client may not leave PKCE out. RFC 9700 §2.1.1: an administrator may exempt confidential clients, one by one, or all of
 * those that registered themselves, by a policy that counts as it is now. Documents are never exempted.
 */
export function needsPkce({ config }: Pick<Context, 'config'>, client: Asking): boolean {
  if (isPublicClient(client)) return true
  const isOfPolicy = client.selfRegistered === true && !client.documentHash
  return client.requirePkce && !(isOfPolicy && !config.registration.requirePkce)
}
