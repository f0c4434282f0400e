import { Type } from '@sinclair/typebox'
import { newEvent, record } from '../../../audit/index.js'
import { countIssued } from '../../../clients/index.js'
import type { Context } from '../../../context.js'
import { FieldedAnswer } from '../../../http/index.js'
import { countUser } from '../../../limits/index.js'
import {
  InvalidGrantError,
  isCodeVerifier,
  TemporarilyUnavailableError,
  verifyCodeChallenge,
} from '../../../oauth/index.js'
import { retryFor } from '../../../platform/retry.js'
import { revoke } from '../../../revocation/index.js'
import { type AuthorizationCode, authorizationCodes, isDatabaseAway } from '../../../store/index.js'
import { type MadeTokens, makeTokens, readOpaque } from '../../../tokens/index.js'
import { defineGrantType, type GrantRequest } from '../grant-type.js'

interface Proofs {
  readonly redirect_uri?: string
  readonly code_verifier?: string
}

/** The authorization code grant. RFC 6749 §4.1.3, RFC 7636 §4.5. */
export const authorizationCode = defineGrantType({
  name: 'authorization_code',

  parameters: Type.Object({
    code: Type.String(),
    redirect_uri: Type.Optional(Type.String()),
    code_verifier: Type.Optional(Type.String()),
    resource: Type.Optional(Type.Array(Type.String())),
  }),

  async handle(ctx, request) {
    const { client, parameters, origin } = request
    const presented = readOpaque('oac', parameters.code)
    const asOf = ctx.clock.now()
    const code = presented && (await authorizationCodes.find(ctx.db, presented.bucket, presented.hash, asOf))
    if (!code) throw invalidCode('code_unknown')

    // To another client it is an unknown code, which ends nothing: else a stolen code would log people out (attack 47).
    if (code.clientId !== client.clientId) {
      const event = refusal(code, 'code_of_another_client', request)
      if (ctx.audit.writesByItself(origin.ip ?? '', event)) await record(ctx, event)
      throw toldOf(ctx, invalidCode('code_of_another_client'))
    }

    // Nothing can be tried twice against a code: one failed check spends it.
    const mismatch = whatDoesNotMatch(code, parameters)
    if (mismatch) {
      await authorizationCodes.spend(ctx.db, code, newEvent(ctx, refusal(code, mismatch, request)))
      throw toldOf(ctx, invalidCode(mismatch))
    }
    if (code.usedAt) return endReplayed(ctx, code, request)
    if (code.expiresAt <= ctx.clock.now()) throw invalidCode('code_expired')
    if (!code.standing) throw invalidCode('grant_ended')
    const limit = await countUser(ctx, code.grant.userId)

    // The answer is made first and given away only if this caller is the one who spent the code.
    const tokens = await makeTokens(ctx, client, { ...code, asOf }, { resource: parameters.resource }, 'new')
    if (await redeem(ctx, code, tokens, request)) {
      countIssued(
        ctx,
        client,
        { grantType: 'authorization_code', audience: tokens.audience, scope: tokens.response.scope },
        origin,
      )
      return limit ? new FieldedAnswer(tokens.response, limit) : tokens.response
    }

    const now = await authorizationCodes.find(ctx.db, code.bucket, code.hash, ctx.clock.now())
    if (now?.usedAt) return endReplayed(ctx, code, request)
    throw invalidCode('grant_ended')
  },
})

/** The reason stands in the log; the client learns nothing that helps to tell two failures apart. */
function invalidCode(reason: string): InvalidGrantError {
  return new InvalidGrantError('The code is invalid.', { reason })
}

/** Of what an event of its own says. */
function toldOf(ctx: Context, error: InvalidGrantError): InvalidGrantError {
  ctx.audit.told(error)
  return error
}

/** For the audit: somebody has a code that is not theirs, or a client is broken. */
function refusal({ grant }: AuthorizationCode, reason: string, { client, origin }: GrantRequest<unknown>) {
  const { clientId } = client
  const about = { clientId, subject: grant.userId, grantId: grant.id }
  return { type: 'code.refused', actor: `client:${clientId}`, ...about, reason, ...origin }
}

function whatDoesNotMatch(code: AuthorizationCode, { redirect_uri, code_verifier }: Proofs): string | undefined {
  // RFC 6749 §4.1.3: the same as in the authorization request, if it was there.
  if (code.redirectUri !== undefined && redirect_uri !== code.redirectUri) return 'redirect_uri_mismatch'
  if (code.codeChallenge === undefined) {
    // RFC 9700 §4.8.2: a verifier is accepted only where a challenge was present.
    return code_verifier === undefined ? undefined : 'code_verifier_unexpected'
  }
  if (code_verifier === undefined) return 'code_verifier_missing'
  if (!isCodeVerifier(code_verifier)) return 'code_verifier_malformed'
  return verifyCodeChallenge(code_verifier, code.codeChallenge) ? undefined : 'code_verifier_wrong'
}

/** A second request that is right in every part: the code is in two hands. OAuth 2.1 §4.1.3. */
async function endReplayed(
  ctx: Context,
  code: AuthorizationCode,
  { client, origin }: GrantRequest<unknown>,
): Promise<never> {
  const cause = { actor: `client:${client.clientId}`, reason: 'code_replayed', origin }
  await revoke(ctx, { kind: 'grant', ...code.grant }, cause)
  throw invalidCode('code_replayed')
}

/**
 * Spends the code. Where the connection is lost in the middle, the commit may have happened: the row says whether it was
 * this attempt.
 */
async function redeem(
  ctx: Context,
  code: AuthorizationCode,
  tokens: MadeTokens,
  { origin }: GrantRequest<unknown>,
): Promise<boolean> {
  const attemptId = ctx.random.uuid()
  const now = ctx.clock.now()
  try {
    const eventId = ctx.random.uuid()
    return await authorizationCodes.redeem(ctx.db, { code, attemptId, tokens: tokens.rows, eventId, ...origin, now })
  } catch (error) {
    if (!isDatabaseAway(error)) throw error
    // Not yet is not no: the statement may still run, until its own timeout ends it.
    const spent = await retryFor(
      5_000,
      async () => (await authorizationCodes.wasSpentBy(ctx.db, code, attemptId)) || undefined,
    )
    if (spent) return true
    throw new TemporarilyUnavailableError('The server cannot answer now.', {
      reason: 'database_away',
      cause: error,
      retryAfter: 5,
    })
  }
}
