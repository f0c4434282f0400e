import type { ClientWithSecrets, StoredClient } from '../store/index.js'
import { usesSecret } from './find.js'
import { formatClientMetadata } from './metadata.js'

/** The answer to a registration. RFC 7591 §3.2.1. The secret is in it only where it is given. */
export function toRegistration(client: StoredClient, clientSecret?: string): Record<string, unknown> {
  const { client_id, ...metadata } = formatClientMetadata(client)
  return {
    client_id,
    ...(clientSecret === undefined ? {} : { client_secret: clientSecret }),
    client_id_issued_at: Math.floor(client.createdAt.getTime() / 1000),
    // 0: the secret in use does not expire by itself.
    ...(usesSecret(client) ? { client_secret_expires_at: 0 } : {}),
    ...metadata,
  }
}

/** What an administrator sees of a client: its registration, and its state. */
export function describeClient(client: ClientWithSecrets, now: Date, clientSecret?: string): Record<string, unknown> {
  const time = (date: Date | undefined): string | undefined => date?.toISOString()
  return {
    ...toRegistration(client, clientSecret),
    ...(client.resourceServerOf === undefined ? {} : { resource_server_of: client.resourceServerOf }),
    ...(client.gateway === undefined ? {} : { gateway: client.gateway }),
    ...(client.roles.length > 0 ? { roles: client.roles.map(({ resource, name }) => ({ resource, name })) } : {}),
    created_at: time(client.createdAt),
    updated_at: time(client.updatedAt),
    disabled_at: time(client.disabledAt),
    last_used_at: time(client.lastUsedAt),
    ...describeSelfRegistration(client),
    secrets: client.secrets
      .filter(({ expiresAt }) => !expiresAt || expiresAt > now)
      .map((secret) => ({
        id: secret.id,
        created_at: time(secret.createdAt),
        expires_at: time(secret.expiresAt),
        last_used_at: time(secret.lastUsedAt),
        weak: secret.method === 'argon2id',
      })),
  }
}

/** Whether an administrator registered it; where not, when it is deleted unless it gets a token before. */
export function describeSelfRegistration(client: StoredClient): Record<string, unknown> {
  const { selfRegistered, unusedUntil, documentHash, documentFetchedAt, documentFreshUntil } = client
  if (!selfRegistered) return {}
  return {
    self_registered: true,
    unused_until: unusedUntil?.toISOString(),
    ...(documentHash
      ? {
          metadata_document: {
            sha256: documentHash.toString('base64url'),
            fetched_at: documentFetchedAt?.toISOString(),
            fresh_until: documentFreshUntil?.toISOString(),
          },
        }
      : {}),
  }
}
