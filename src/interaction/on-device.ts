import { type Client, isPublicClient } from '../clients/index.js'

/**
 * Whether the answer goes to an app on the user's device, which cannot prove which app it is: another one may use its
 * client_id, and what was allowed before counts for nothing. RFC 8252 §8.6. That is so for native clients, and for any
 * public client that is answered by http on loopback, where every local program can listen.
 */
export function isOnDevice(client: Client, destination: string): boolean {
  return client.applicationType === 'native' || (isPublicClient(client) && destination.startsWith('http:'))
}
