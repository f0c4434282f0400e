import { changeClient, deleteClient, findKeyedSecret } from '../../clients/index.js'
import type { Context, Origin } from '../../context.js'
import { HttpError } from '../../http/index.js'
import { InvalidClientMetadataError, InvalidTokenError } from '../../oauth/index.js'
import { NotFoundError } from '../../platform/administration-errors.js'
import { sha256, timingSafeEqual } from '../../platform/crypto/hash.js'
import { drawOpaque, type Opaque, readOpaque } from '../../platform/crypto/opaque.js'
import {
  type ClientWithSecrets,
  clients,
  consents,
  type Db,
  registrationAnswers,
  type StoredClient,
} from '../../store/index.js'
import { checkAddresses } from './addresses.js'
import { registrationAnswer, type Secrets } from './answer.js'
import { openSecrets, sealSecrets } from './lost-answer.js'
import { readRegistration } from './policy.js'
import { countChange } from './quota.js'
import { policyOf } from './register.js'

/** A client at its own registration. RFC 7592 §2 */
export interface OwnRegistration {
  readonly client: ClientWithSecrets
  readonly access: Opaque
  /** What the last change was answered, where this is the token that it was asked by, and nobody has used the one that it told. */
  readonly unheard?: Secrets | undefined
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * Whose registration a token opens. A client that there is not, another's token and a wrong one are refused alike (attack 97).
 *
 * The token before is good too until the last one is shown here for the first time: the answer that told that one may have
 * got lost, and the token SHOULD NOT expire while the client is registered (RFC 7592 §5).
 *
 * @param onClient hears of the client that is asked for, where there is one: also where the token does not open it
 * @throws {InvalidTokenError}
 * @throws {HttpError} 403 while the client is disabled: RFC 7592 §2.1
 */
export async function openRegistration(
  ctx: Context,
  clientId: string,
  token: string,
  onClient: (clientId: string) => void = () => undefined,
): Promise<OwnRegistration> {
  const access = readOpaque('ora', token)
  if (!access || !uuid.test(clientId)) throw invalidToken()
  const client = await clients.find(ctx.db, clientId)
  if (client) onClient(client.clientId)
  const isLast = client !== undefined && isLastToken(client, access)
  // Behind the client: a token that was replaced meanwhile is the one before by now.
  const sealed = isLast ? undefined : await registrationAnswers.find(ctx.db, clientId, access.hash)
  if (!client || !(isLast || sealed)) throw invalidToken()
  requireUsable(client)
  if (isLast) await registrationAnswers.remove(ctx.db, clientId, access.hash)
  return { client, access, unheard: sealed && openSecrets(access, sealed) }
}

/**
 * RFC 7592 §2.1. The last token stays. It is said again because the client has just shown it; a secret, of which only a hash is
 * kept, cannot be. Who reads by the token before is told what it did not hear.
 */
export function readRegistered(ctx: Context, own: OwnRegistration): Readonly<Record<string, unknown>> {
  const { client, access, unheard } = own
  return registrationAnswer(ctx, client, {
    registrationAccessToken: unheard?.registrationAccessToken ?? access.value,
    clientSecret: liveSecret(ctx, client, unheard?.clientSecret),
  })
}

/**
 * Replaces the whole registration, and the token by which that is done. Of many at once with one token, or one after the
 * other, all are told the same new one: so it does not matter which of their answers arrives. RFC 7592 §2.2.
 *
 * @throws {InvalidRedirectUriError} {InvalidClientMetadataError} {InvalidSoftwareStatementError} {InvalidTokenError}
 * @throws {TooManyRequestsError}
 */
export async function replaceRegistration(
  ctx: Context,
  { client, access }: OwnRegistration,
  input: unknown,
  origin: Origin,
): Promise<Readonly<Record<string, unknown>>> {
  const { clientId } = client
  const { metadata, presentedSecret } = checkedBody(ctx, client, input)
  const read = (stored: StoredClient) => readRegistration(metadata, policyOf(ctx), stored)
  const wanted = read(client)
  await countChange(ctx, clientId, origin)
  await checkAddresses(ctx, wanted, 'strangers')
  let told: Secrets = { registrationAccessToken: drawOpaque(ctx, 'ora', 0).value }
  const changed = await orInvalidToken(
    changeClient(ctx, clientId, {
      read,
      by: { actor: `client:${clientId}`, origin },
      require: (stored) => requireUsable(stored, 'to change'),
      async more(tx, before, after, clientSecret) {
        told = await rotate(ctx, tx, { clientId, access, told: { ...told, clientSecret } })
        // Who allowed it something allowed it to what it called itself then, at the hosts that it had.
        if (looksOtherwise(before, after)) await consents.removeOfClient(tx, clientId)
      },
    }),
  )
  const clientSecret = liveSecret(ctx, changed.client, told.clientSecret) ?? presentedSecret
  return registrationAnswer(ctx, changed.client, { ...told, clientSecret })
}

/** Ends all that the client has. RFC 7592 §2.3. @throws {InvalidTokenError} */
export async function deleteRegistration(
  ctx: Context,
  { client: { clientId }, access }: OwnRegistration,
  origin: Origin,
): Promise<void> {
  const by = { actor: `client:${clientId}`, origin }
  await orInvalidToken(
    deleteClient(ctx, clientId, by, async (stored, tx) => {
      // By the row, as the caller holds it: neither was replaced nor ended since.
      const isOpen = isLastToken(stored, access) || (await registrationAnswers.findForUpdate(tx, clientId, access.hash))
      if (!isOpen) throw invalidToken()
      requireUsable(stored)
    }),
  )
}

/**
 * Gives the client another token, with its row held. Where it shows the one before, the last one was told by an answer that it
 * may not have heard, with the secret that was made then: so it is told both again.
 *
 * @returns what to tell
 * @throws {InvalidTokenError} where the last one was used meanwhile
 */
async function rotate(
  ctx: Context,
  tx: Db,
  { clientId, access, told }: { readonly clientId: string; readonly access: Opaque; readonly told: Secrets },
): Promise<Secrets> {
  const next = sha256(told.registrationAccessToken)
  if (await clients.rotateRegistrationAccess(tx, clientId, access.hash, next)) return remember(told)
  const sealed = await registrationAnswers.findForUpdate(tx, clientId, access.hash)
  if (!sealed) throw invalidToken()
  const unheard = openSecrets(access, sealed)
  return remember({ ...unheard, clientSecret: told.clientSecret ?? unheard.clientSecret })

  async function remember(secrets: Secrets): Promise<Secrets> {
    const currentHash = sha256(secrets.registrationAccessToken)
    const answer = sealSecrets(ctx, access, secrets)
    await registrationAnswers.put(tx, { clientId, previousHash: access.hash, currentHash, answer })
    return secrets
  }
}

/** It may have been rotated, or the client may need none any more. */
function liveSecret(ctx: Context, { secrets }: ClientWithSecrets, secret: string | undefined): string | undefined {
  if (secret === undefined) return undefined
  return findKeyedSecret(ctx, secrets, secret, ctx.clock.now()) && secret
}

/** RFC 7592 §2.2: the body names the client, and its secret at most as it is. */
function checkedBody(ctx: Context, { clientId, secrets }: ClientWithSecrets, input: unknown) {
  const body = typeof input === 'object' && input !== null && !Array.isArray(input) ? input : {}
  const { client_id, client_secret, ...metadata } = Object.fromEntries(Object.entries(body))
  if (client_id !== clientId) throw invalid('client_id', 'is not that of this registration', 'client_id_differs')
  if (client_secret === undefined || client_secret === null) return { metadata, presentedSecret: undefined }
  const isOwn =
    typeof client_secret === 'string' && findKeyedSecret(ctx, secrets, client_secret, ctx.clock.now()) !== undefined
  if (!isOwn) throw invalid('client_secret', 'is not that of this client', 'client_secret_differs')
  return { metadata, presentedSecret: client_secret }
}

function isLastToken({ registrationAccessHash }: StoredClient, access: Opaque): boolean {
  return registrationAccessHash !== undefined && timingSafeEqual(registrationAccessHash, access.hash)
}

/** @param act undefined: to read or to end */
function requireUsable({ disabledAt, firstParty }: StoredClient, act?: 'to change'): void {
  if (disabledAt) throw forbidden('The client is disabled.', 'client_disabled')
  // Nobody asks its users: so it must not lead them to wherever it likes.
  if (act && firstParty) throw forbidden('The client is the server’s own: an administrator changes it.', 'first_party')
}

function looksOtherwise(before: StoredClient, after: Pick<StoredClient, 'clientName' | 'logoUri' | 'redirectUris'>) {
  const look = ({ clientName, logoUri, redirectUris }: typeof after) =>
    JSON.stringify([clientName, logoUri, [...new Set(redirectUris.map((uri) => new URL(uri).host))].sort()])
  return look(before) !== look(after)
}

/** It was deleted meanwhile. */
async function orInvalidToken<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (error) {
    if (error instanceof NotFoundError) throw invalidToken()
    throw error
  }
}

function invalidToken(): InvalidTokenError {
  return new InvalidTokenError('The registration access token is not that of this client.', {
    reason: 'registration_access_token_invalid',
  })
}

function forbidden(message: string, reason: string): HttpError {
  return new HttpError(403, message, { reason })
}

function invalid(field: string, what: string, reason: string): InvalidClientMetadataError {
  return new InvalidClientMetadataError(`${field} ${what}.`, { reason, field })
}
