import { compactVerify } from 'jose'
import type { Context } from '../../context.js'
import type { UnverifiedJwt } from '../../oauth/index.js'
import { monotonicMilliseconds } from '../../platform/monotonic.js'
import type { StoredClient } from '../../store/index.js'
import { openIdSigningAlgs } from '../openid-metadata.js'

/** Keys of one name that are tried: more than a client in the middle of a rotation has. */
const mostTried = 3

/**
 * Whether the client signed this, by one of its keys and an algorithm that it may use.
 *
 * @param registered the only algorithm, where the client has registered one
 * @param since when the request with it came, in monotonic milliseconds; default now
 * @returns why not, for log and audit; undefined where it did
 * @throws {ClientKeysAwayError} where its keys cannot be fetched now
 */
export async function signatureProblem(
  ctx: Pick<Context, 'clientKeys'>,
  client: Pick<StoredClient, 'clientId' | 'jwks' | 'jwksUri'>,
  { header, compact }: UnverifiedJwt,
  registered: string | undefined,
  since = monotonicMilliseconds(),
): Promise<string | undefined> {
  const alg = openIdSigningAlgs.find((known) => known === header.alg)
  if (alg === undefined) return 'alg_not_supported'
  if (registered !== undefined && alg !== registered) return 'alg_not_registered'
  const { kid } = header
  if (kid !== undefined && typeof kid !== 'string') return 'kid_malformed'
  const keys = await ctx.clientKeys.find(client, { alg, kid, since })
  if (typeof keys === 'string') return keys
  if (keys.length === 0) return 'key_unknown'
  // OIDC Core §10.1: of several, its name is told.
  if (kid === undefined && keys.length > 1) return 'kid_missing'
  for (const { key } of keys.slice(0, mostTried)) {
    const isSigned = await compactVerify(compact, key, { algorithms: [alg] }).then(
      () => true,
      () => false,
    )
    if (isSigned) return undefined
  }
  return 'signature_wrong'
}
