// Owns how a client proves who it is: one file per method; what is listed here is accepted, published and registrable.

import { type AuditEvent, newEvent } from '../../audit/index.js'
import type { Context, Origin } from '../../context.js'
import type { Attempt } from '../../http/index.js'
import { InvalidClientError, InvalidRequestError, type Parameters } from '../../oauth/index.js'
import { monotonicMilliseconds } from '../../platform/monotonic.js'
import type { Client } from '../directory.js'
import { compareWithNothing, findKeyedSecret, findSlowSecret, hasSlowSecret, takeOver } from '../secrets.js'
import { clientSecretBasic } from './client-secret-basic.js'
import { clientSecretPost } from './client-secret-post.js'
import type { AuthenticationMethod, PresentedCredentials } from './method.js'
import { none } from './none.js'

export const authenticationMethods: readonly AuthenticationMethod[] = [clientSecretBasic, clientSecretPost, none]

/**
 * The client that makes this request, authenticated by the method that it is registered for.
 *
 * @throws {InvalidClientError} RFC 6749 §5.2; the reason stands in the audit alone
 * @throws {InvalidRequestError} when two methods are used at once. RFC 6749 §2.3
 * @throws {TooManyRequestsError} after too many failures, before any hash is computed
 */
export async function authenticateClient(
  ctx: Context,
  authorization: string | undefined,
  parameters: Parameters,
  origin: Origin,
): Promise<Client> {
  const { method, credentials } = readAudited(ctx, authorization, parameters, origin)
  const subject = { kind: 'client', id: credentials.clientId, ip: origin.ip ?? '' } as const
  ctx.failures.check(subject)
  const since = monotonicMilliseconds()
  let client = await ctx.clients.find(credentials.clientId)
  const now = ctx.clock.now()

  /** Where a secret that a person chose is compared: of many guesses at once no more compute the hash than the bound. */
  let attempt: Attempt | undefined
  try {
    if (credentials.clientSecret !== undefined) {
      if (!client) {
        compareWithNothing(ctx, credentials.clientSecret)
        return refuse('client_unknown')
      }
      let secret = findKeyedSecret(ctx, client.secrets, credentials.clientSecret, now)
      if (!secret) {
        // What is in memory may be from before a rotation. And a refusal costs the same statements, whether the client is
        // in memory, in the database or nowhere (attack 65).
        const remembered = client.secrets
        client = await ctx.clients.find(credentials.clientId, since)
        if (!client) return refuse('client_unknown')
        const unseen = client.secrets.filter(({ id }) => !remembered.some((known) => known.id === id))
        secret = findKeyedSecret(ctx, unseen, credentials.clientSecret, now)
      }
      if (!secret && hasSlowSecret(client.secrets, now)) {
        attempt = await ctx.failures.attempt(subject)
        secret = await findSlowSecret(ctx, client.secrets, credentials.clientSecret, now)
      }
      if (!secret) return refuse('client_secret_wrong')
      accept(ctx, client, method)
      takeOver(ctx, secret, credentials.clientSecret)
      ctx.clientUse.record({ clientId: client.clientId, secretId: secret.id, at: now })
      await (attempt ? attempt.succeeded() : ctx.failures.succeed(subject))
      return client
    }
    if (!client) return refuse('client_unknown')
    accept(ctx, client, method)
    ctx.clientUse.record({ clientId: client.clientId, at: now })
    return client
  } catch (error) {
    if (error instanceof InvalidClientError) {
      const event = failureEvent(ctx, client, error.reason, origin)
      await (attempt ? attempt.failed(event) : ctx.failures.fail(subject, event))
    } else {
      await attempt?.abandoned()
    }
    throw error
  }
}

function refuse(reason: string): never {
  throw new InvalidClientError('Client authentication failed.', { reason })
}

function accept(ctx: Context, client: Client, method: AuthenticationMethod): void {
  // RFC 7591 §2: the client uses the method that it registered, no other (attack 67).
  if (client.tokenEndpointAuthMethod !== method.name) refuse('client_method_not_registered')
  if (client.disabledAt || ctx.revocations.find({ kind: 'client', target: client.clientId })?.terminal) {
    refuse('client_disabled')
  }
}

/** What names no client cannot be a guess at its secret: it is in the audit, and counted against nobody. */
function readAudited(ctx: Context, authorization: string | undefined, parameters: Parameters, { ip }: Origin) {
  try {
    return readCredentials(authorization, parameters)
  } catch (error) {
    if (error instanceof InvalidClientError) {
      ctx.audit.count({ type: 'client.authentication_failed', actor: 'system', reason: error.reason, ip })
    }
    throw error
  }
}

/** Which single method the request uses. */
function readCredentials(
  authorization: string | undefined,
  parameters: Parameters,
): { method: AuthenticationMethod; credentials: PresentedCredentials } {
  let only: { readonly method: AuthenticationMethod; readonly credentials: PresentedCredentials } | undefined
  // A secret in the body beside the header is a second method, also where the body names no client.
  let isMixed = authorization !== undefined && parameters['client_secret'] !== undefined
  for (const method of authenticationMethods) {
    const credentials = method.read(authorization, parameters)
    if (!credentials) continue
    if (only) isMixed = true
    only = { method, credentials }
  }
  if (isMixed) {
    throw new InvalidRequestError('The request uses more than one way of client authentication.', {
      reason: 'client_methods_mixed',
    })
  }
  if (!only) {
    throw new InvalidClientError('Client authentication is missing.', { reason: 'client_authentication_missing' })
  }
  const { client_id } = parameters
  if (client_id !== undefined && client_id !== only.credentials.clientId) {
    throw new InvalidRequestError('The parameter client_id names another client than the Authorization header.', {
      reason: 'client_id_mismatch',
    })
  }
  return only
}

/** @returns undefined where one counted event stands for many */
function failureEvent(
  ctx: Context,
  client: Client | undefined,
  reason: string,
  origin: Origin,
): AuditEvent | undefined {
  // The client_id of a client that does not exist is whatever somebody typed: it is not written down.
  const event = { type: 'client.authentication_failed', actor: 'system', clientId: client?.clientId, reason, ...origin }
  return ctx.audit.writesByItself(origin.ip ?? '', event) ? newEvent(ctx, event) : undefined
}
