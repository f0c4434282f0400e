import { createClient, supportedMetadata } from '../../clients/index.js'
import type { Context, Origin } from '../../context.js'
import { drawOpaque } from '../../platform/crypto/opaque.js'
import type { RegistrationToken } from '../../store/index.js'
import { grantTypes } from '../token/index.js'
import { checkAddresses } from './addresses.js'
import { registrationAnswer } from './answer.js'
import { spendInitialAccessToken } from './initial-access-tokens.js'
import { type RegistrationPolicy, readRegistration } from './policy.js'
import { countRegistration, countTry } from './quota.js'

/** Milliseconds. */
const day = 86_400_000

export interface RegistrationRequest {
  /** As it came, parsed. */
  readonly metadata: unknown
  /** The token that it came with; undefined: none. */
  readonly token: RegistrationToken | undefined
  readonly origin: Origin
}

/**
 * Registers a client that asks for it itself. RFC 7591 §3.
 *
 * @returns what is answered: the secret and the token are in no other place
 * @throws {InvalidRedirectUriError} {InvalidClientMetadataError} {InvalidSoftwareStatementError} {InvalidTokenError}
 * @throws {TooManyRequestsError} past the quota of its network
 */
export async function registerItself(
  ctx: Context,
  { metadata: input, token, origin }: RegistrationRequest,
): Promise<Readonly<Record<string, unknown>>> {
  const metadata = readRegistration(input, policyOf(ctx))
  // Before anybody is asked for its sake. What is refused for its form costs nothing, and is not counted.
  await (token ? countTry(ctx, token) : countRegistration(ctx, origin))
  await checkAddresses(ctx, metadata, 'strangers')

  const access = drawOpaque(ctx, 'ora', 0)
  const by = { actor: token ? `registration-token:${token.id}` : 'anonymous', origin }
  const { client, clientSecret } = await createClient(
    ctx,
    metadata,
    by,
    async (tx) => {
      if (token) await spendInitialAccessToken(ctx, tx, token)
    },
    {
      selfRegistered: true,
      registrationAccessHash: access.hash,
      unusedUntil: new Date(ctx.clock.now().getTime() + ctx.config.registration.unusedDays * day),
    },
  )
  return registrationAnswer(ctx, client, { clientSecret, registrationAccessToken: access.value })
}

export function policyOf(ctx: Context): RegistrationPolicy {
  const names = grantTypes.map(({ name }) => name)
  return {
    config: ctx.config.registration,
    supported: supportedMetadata(ctx, { grantTypes: names }),
  }
}
