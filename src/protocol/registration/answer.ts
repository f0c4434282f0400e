import { toRegistration } from '../../clients/index.js'
import type { Context } from '../../context.js'
import type { StoredClient } from '../../store/index.js'
import { registrable } from './policy.js'

export interface Secrets {
  /** Where it was made or shown just now: nobody can tell it afterwards. */
  readonly clientSecret?: string | undefined
  /** By which the client changes its registration. RFC 7592 §3 */
  readonly registrationAccessToken: string
}

/** What is registered, as its client is told: nothing of what an administrator decided. RFC 7591 §3.2.1, RFC 7592 §3. */
export function registrationAnswer(
  ctx: Context,
  client: StoredClient,
  { clientSecret, registrationAccessToken }: Secrets,
): Readonly<Record<string, unknown>> {
  const { client_id, client_id_issued_at, client_secret_expires_at, ...metadata } = toRegistration(client)
  return {
    client_id,
    ...(clientSecret === undefined ? {} : { client_secret: clientSecret }),
    client_id_issued_at,
    ...(client_secret_expires_at === undefined ? {} : { client_secret_expires_at }),
    registration_access_token: registrationAccessToken,
    registration_client_uri: `${ctx.config.server.issuer}/register/${client.clientId}`,
    ...Object.fromEntries(Object.entries(metadata).filter(([name]) => registrable.has(name))),
  }
}
