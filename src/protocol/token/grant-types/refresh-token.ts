import { Type } from '@sinclair/typebox'
import { record } from '../../../audit/index.js'
import { countIssued } from '../../../clients/index.js'
import type { Context } from '../../../context.js'
import { FieldedAnswer } from '../../../http/index.js'
import { countUser } from '../../../limits/index.js'
import { InvalidGrantError } from '../../../oauth/index.js'
import { revoke } from '../../../revocation/index.js'
import { dayBucket, type RefreshToken, refreshTokens } from '../../../store/index.js'
import {
  hashRequest,
  idleEnd,
  type MadeTokens,
  makeTokens,
  type Opaque,
  openAnswer,
  readOpaque,
  sealAnswer,
  type TokenResponse,
} from '../../../tokens/index.js'
import { defineGrantType, type GrantRequest } from '../grant-type.js'

/** Refreshing. RFC 6749 §6; rotation with reuse detection by RFC 9700 §4.14.2, and a retry that is safe. */
export const refreshToken = defineGrantType({
  name: 'refresh_token',

  parameters: Type.Object({
    refresh_token: Type.String(),
    scope: Type.Optional(Type.String()),
    resource: Type.Optional(Type.Array(Type.String())),
  }),

  async handle(ctx, request) {
    const { client, parameters } = request
    const presented = readOpaque('ort', parameters.refresh_token)
    const asOf = ctx.clock.now()
    const token = presented && (await refreshTokens.find(ctx.db, presented.bucket, presented.hash, asOf))
    if (!token) throw invalidToken('refresh_token_unknown')
    // From another client it is an unknown token and ends nothing: else a stolen token would log people out (attack 57).
    if (token.clientId !== client.clientId) {
      await recordStranger(ctx, token, request)
      const error = invalidToken('refresh_token_of_another_client')
      ctx.audit.told(error)
      throw error
    }
    if (!token.standing) throw invalidToken('grant_ended')
    if (token.usedAt) return retried(ctx, presented, token, request)
    if (token.expiresAt <= ctx.clock.now()) throw invalidToken('refresh_token_expired')

    const limit = await countUser(ctx, token.grant.userId)
    const limited = (answer: TokenResponse) => (limit ? new FieldedAnswer(answer, limit) : answer)
    if (!client.refreshTokenRotation) return limited(await extend(ctx, { ...token, asOf }, request))

    // The answer is made first and given away only if this caller is the one who spent the token.
    const tokens = await makeTokens(ctx, client, { ...token, asOf }, parameters, 'new')
    const now = ctx.clock.now()
    const retryUntil = new Date(now.getTime() + client.refreshTokenRetryWindow * 1000)
    const rotated = await refreshTokens.rotate(ctx.db, {
      token,
      tokens: tokens.rows,
      answer: {
        bucket: dayBucket(retryUntil),
        requestHash: hashRequest(request.sent),
        ciphertext: sealAnswer(ctx, presented, tokens.response),
        expiresAt: retryUntil,
      },
      eventId: ctx.random.uuid(),
      ...request.origin,
      now,
    })
    if (rotated) return limited(issued(ctx, tokens, request))

    const spent = await refreshTokens.find(ctx.db, token.bucket, token.hash, ctx.clock.now())
    if (spent?.standing && spent.usedAt) return retried(ctx, presented, spent, request)
    throw invalidToken('grant_ended')
  },
})

function invalidToken(reason: string): InvalidGrantError {
  return new InvalidGrantError('The refresh token is invalid.', { reason })
}

/** For the audit: somebody has a token that is not theirs, or a client is broken. */
async function recordStranger(
  ctx: Context,
  { grant }: RefreshToken,
  { client: { clientId }, origin }: GrantRequest<unknown>,
): Promise<void> {
  const about = { clientId, subject: grant.userId, grantId: grant.id, reason: 'refresh_token_of_another_client' }
  const event = { type: 'token.refused', actor: `client:${clientId}`, ...about, ...origin }
  if (ctx.audit.writesByItself(origin.ip ?? '', event)) await record(ctx, event)
}

/** The same request again gets the same answer, while its window is open; any other second use ends the family. */
async function retried(
  ctx: Context,
  presented: Opaque,
  token: RefreshToken,
  { client, sent, origin }: GrantRequest<unknown>,
): Promise<TokenResponse> {
  if (token.retryUntil) {
    const bucket = dayBucket(token.retryUntil)
    const answer = await refreshTokens.findAnswer(ctx.db, token, bucket, hashRequest(sent), ctx.clock.now())
    if (answer) return openAnswer(presented, answer)
  }
  const cause = { actor: `client:${client.clientId}`, reason: 'refresh_token_reused', origin }
  await revoke(ctx, { kind: 'grant', ...token.grant }, cause)
  throw invalidToken('refresh_token_reused')
}

/** For a client without rotation: only the idle time starts again, and the client keeps what it has. */
async function extend(
  ctx: Context,
  token: RefreshToken & { readonly asOf: Date },
  { client, parameters, origin }: GrantRequest<{ scope?: string; resource?: string[] }>,
): Promise<TokenResponse> {
  const tokens = await makeTokens(ctx, client, token, parameters, 'none')
  const extended = await refreshTokens.extend(ctx.db, {
    token,
    tokens: tokens.rows,
    expiresAt: idleEnd(ctx, client, token.grant),
    eventId: ctx.random.uuid(),
    ...origin,
    now: ctx.clock.now(),
  })
  if (!extended) throw invalidToken('grant_ended')
  return issued(ctx, tokens, { client, origin })
}

function issued(
  ctx: Context,
  { audience, response }: MadeTokens,
  { client, origin }: Pick<GrantRequest<unknown>, 'client' | 'origin'>,
): TokenResponse {
  countIssued(ctx, client, { grantType: 'refresh_token', audience, scope: response.scope }, origin)
  return response
}
