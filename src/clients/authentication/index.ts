// Owns how a client proves who it is: one file per method; what is listed here is accepted, published and registrable.

import { type AuditEvent, newEvent } from '../../audit/index.js'
import type { Context, Origin } from '../../context.js'
import type { Attempt, FailureSubject } from '../../http/index.js'
import { InvalidClientError, InvalidRequestError, type Parameters } from '../../oauth/index.js'
import type { Deadline } from '../../platform/deadline.js'
import { monotonicMilliseconds } from '../../platform/monotonic.js'
import { isLetIn, networkOf } from '../../platform/network.js'
import { auditEvents, type ClientSecret } from '../../store/index.js'
import type { Client } from '../directory.js'
import { isDocumentOff } from '../find.js'
import { ClientKeysAwayError } from '../keys/index.js'
import {
  compareWithNothing,
  findSlowSecret,
  hasSlowSecret,
  isLive,
  looksGenerated,
  matchKeyedSecret,
  takeOver,
} from '../secrets.js'
import { proveByAssertion, spendAssertion } from './assertion.js'
import { clientSecretBasic } from './client-secret-basic.js'
import { clientSecretPost } from './client-secret-post.js'
import type { AuthenticationMethod, PresentedCredentials } from './method.js'
import { none } from './none.js'
import { privateKeyJwt } from './private-key-jwt.js'

export const authenticationMethods: readonly AuthenticationMethod[] = [
  clientSecretBasic,
  clientSecretPost,
  privateKeyJwt,
  none,
]

/** Where a client is whose credentials somebody else hands on: an API, which proved who it is and is believed. */
export interface Place {
  /** Undefined where it is not known: then it is in no network. */
  readonly address: string | undefined
  /** Why it is not known, as the reason of a refusal for that. */
  readonly unknown?: string | undefined
}

export interface AuthenticationOptions {
  /** Where the client is; default the address that the request comes from, by which failures count in any case. */
  readonly place?: Place
  /** The gateway that hands the credentials on: failures count by its name where it says no address. */
  readonly via?: string
  /** Of the request: a slow hash does not count, since who waits for one has bounds of its own. */
  readonly deadline?: Deadline
  /** For whoever remembers the answer: what is in memory here may be from before a rotation, and is not good enough. */
  readonly exact?: boolean
  /** A secret that a person may have chosen is none here: it is not even compared. */
  readonly strongSecrets?: boolean
}

/**
 * The client that makes this request, authenticated by the method that it is registered for, from one of its networks.
 *
 * @throws {InvalidClientError} RFC 6749 §5.2; the reason stands in the audit alone
 * @throws {InvalidRequestError} when two methods are used at once. RFC 6749 §2.3
 * @throws {TooManyRequestsError} after too many failures: for what can be guessed before anything is compared, else where it is wrong
 * @throws {ClientKeysAwayError} while the client's keys cannot be fetched
 */
export async function authenticateClient(
  ctx: Context,
  authorization: string | undefined,
  parameters: Parameters,
  origin: Origin,
  { place, via, deadline, exact = false, strongSecrets = false }: AuthenticationOptions = {},
): Promise<Client> {
  const { address } = place ?? { address: origin.ip }
  const { method, credentials } = readAudited(ctx, authorization, parameters, origin)
  const subject: FailureSubject = {
    ...{ kind: 'client', id: credentials.clientId, ip: origin.ip ?? '' },
    via: origin.ip === undefined ? via : undefined,
  }
  // What nobody guesses is compared also past a bound: whoever is right is not kept out by failures of their neighbours.
  if (canBeGuessed(credentials)) ctx.failures.check(subject)
  const since = monotonicMilliseconds()
  let client = await ctx.clients.find(credentials.clientId, exact ? since : undefined)
  const now = ctx.clock.now()

  /** What is in memory may be from before a change. */
  async function inItsPlace(found: Client): Promise<Client> {
    if (isLetIn(address, found.allowedNetworks)) return found
    // Read again, as after a wrong secret: who has found the right one elsewhere does not see it by the time.
    const read = await ctx.clients.find(found.clientId, since)
    if (!read || !isLetIn(address, read.allowedNetworks)) return refuse(place?.unknown ?? 'client_network')
    return read
  }

  /** Where a secret that a person chose is compared: of many guesses at once no more compute the hash than the bound. */
  let attempt: Attempt | undefined
  /** Who shows a secret that nobody guesses, or signs, is the client: where it is refused all the same, that was no guess. */
  let isProved = false
  try {
    if (credentials.clientSecret !== undefined) {
      if (!client) {
        compareWithNothing(ctx, credentials.clientSecret)
        return refuse('client_unknown')
      }
      let secret = matchKeyedSecret(ctx, client.secrets, credentials.clientSecret)
      if (!secret || !isLive(secret, now)) {
        // What is in memory may be from before a rotation. And a refusal costs the same statements, whether the client is
        // in memory, in the database or nowhere (attack 65).
        const remembered = client.secrets
        client = await ctx.clients.find(credentials.clientId, since)
        if (!client) return refuse('client_unknown')
        const unseen = client.secrets.filter(({ id }) => !remembered.some((known) => known.id === id))
        secret ??= matchKeyedSecret(ctx, unseen, credentials.clientSecret)
      }
      isProved = secret !== undefined
      if (secret && !isLive(secret, now)) return refuse(secretIsOver)
      if (!secret && hasSlowSecret(client.secrets, now)) {
        if (strongSecrets) return refuse('client_secret_chosen')
        deadline?.hold()
        try {
          attempt = await ctx.failures.attempt(subject)
          secret = await findSlowSecret(ctx, client.secrets, credentials.clientSecret, now)
        } finally {
          deadline?.goOn()
        }
      }
      if (!secret) return refuse('client_secret_wrong')
      accept(ctx, client, method)
      client = await inItsPlace(client)
      takeOver(ctx, secret, credentials.clientSecret)
      ctx.clientUse.record({ clientId: client.clientId, secretId: secret.id, at: now })
      if (secret.expiresAt) countSuperseded(ctx, secret, address)
      await (attempt ? attempt.succeeded() : ctx.failures.succeed(subject))
      return client
    }
    if (credentials.assertion !== undefined) {
      const proved = await proveByAssertion(ctx, credentials, { remembered: client, origin, since })
      client = proved.client
      isProved = true
      accept(ctx, client, method)
      client = await inItsPlace(client)
      // Last: whatever else was wrong leaves it good.
      if (!(await spendAssertion(ctx, proved.assertion))) return refuse('assertion_used_before')
      ctx.clientUse.record({ clientId: client.clientId, at: now })
      await ctx.failures.succeed(subject)
      return client
    }
    if (!client) return refuse('client_unknown')
    accept(ctx, client, method)
    client = await inItsPlace(client)
    ctx.clientUse.record({ clientId: client.clientId, at: now })
    return client
  } catch (error) {
    if (error instanceof InvalidClientError) {
      ctx.audit.told(error)
      // Past a bound nothing is written, and the answer is that to a guess, whatever was wrong.
      if (!attempt) ctx.failures.check(subject)
      const event = failureEvent(ctx, client, error.reason, { origin, place, subject })
      if (attempt) await attempt.failed(event)
      else if (error.reason !== secretIsOver) await ctx.failures.fail(subject, event, isProved ? 'refusal' : 'guess')
      // Counted nowhere: who has not moved to the new secret must not lock out who has.
      else if (event) await auditEvents.add(ctx.db, event)
    } else {
      await attempt?.abandoned()
      // No guess, so it counts against nobody; why there was nothing to compare with is in the audit all the same.
      if (error instanceof ClientKeysAwayError) {
        const { clientId } = credentials
        const reason = `assertion_${error.reason}`
        ctx.audit.count({ type: 'client.authentication_failed', actor: 'system', clientId, reason, ip: origin.ip })
      }
    }
    throw error
  }
}

/** A signature is no guess, nor is the name of a client that has no secret. */
function canBeGuessed({ clientSecret }: PresentedCredentials): boolean {
  return clientSecret !== undefined && !looksGenerated(clientSecret)
}

/** A secret that was rotated, and whose overlap is over. */
const secretIsOver = 'client_secret_expired'

/** From where a secret that was rotated is still used: who brings out the new one looks for these. */
function countSuperseded(ctx: Context, { id }: ClientSecret, address: string | undefined): void {
  const from = address === undefined ? undefined : networkOf(address)
  const whose = { kind: 'client_secret', credential: id, api: ctx.config.server.issuer, superseded: true } as const
  ctx.usage.record({ ...whose, scope: '', outcome: 'accepted', at: ctx.clock.now(), from })
}

function refuse(reason: string): never {
  throw new InvalidClientError('Client authentication failed.', { reason })
}

function accept(ctx: Context, client: Client, method: AuthenticationMethod): void {
  // RFC 7591 §2: the client uses the method that it registered, no other (attack 67).
  if (client.tokenEndpointAuthMethod !== method.name) refuse('client_method_not_registered')
  if (isDocumentOff(ctx, client)) refuse('client_documents_off')
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
      ctx.audit.told(error)
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
  const { client_id, client_secret, client_assertion, client_assertion_type } = parameters
  // A proof in the body beside the header is a second method, also where the body names no client.
  const proofs = [authorization, client_secret, client_assertion ?? client_assertion_type]
  if (proofs.filter((proof) => proof !== undefined).length > 1) {
    throw new InvalidRequestError('The request uses more than one way of client authentication.', {
      reason: 'client_methods_mixed',
    })
  }
  for (const method of authenticationMethods) {
    const credentials = method.read(authorization, parameters)
    if (!credentials) continue
    if (client_id !== undefined && client_id !== credentials.clientId) {
      throw new InvalidRequestError('The parameter client_id names another client than its credentials.', {
        reason: 'client_id_mismatch',
      })
    }
    return { method, credentials }
  }
  throw new InvalidClientError('Client authentication is missing.', { reason: 'client_authentication_missing' })
}

interface Failure {
  readonly origin: Origin
  readonly place: Place | undefined
  readonly subject: FailureSubject
}

/** @returns undefined where one counted event stands for many */
function failureEvent(
  ctx: Context,
  client: Client | undefined,
  reason: string,
  { origin, place, subject }: Failure,
): AuditEvent | undefined {
  // The client_id of a client that does not exist is whatever somebody typed: it is not written down.
  const about = { type: 'client.authentication_failed', actor: 'system', clientId: client?.clientId, reason, ...origin }
  const event = place ? { ...about, detail: { address: place.address } } : about
  return ctx.audit.writesByItself(subject.via ?? subject.ip, event) ? newEvent(ctx, event) : undefined
}
