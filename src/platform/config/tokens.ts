import { type Static, Type } from '@sinclair/typebox'
import type { Source } from './variables.js'

const DAY = 86_400

export const tokensVariables = Type.Object({
  accessTokenLifetime: Type.Integer({
    default: 600,
    minimum: 60,
    maximum: 3600,
    weakerAbove: 600,
    weakness: 'a resource server that follows no revocation feed accepts a revoked token that long.',
    description:
      'Seconds an access token is valid. Short: a verifier that follows no revocation feed trusts it that long.',
  }),
  authorizationCodeLifetime: Type.Integer({
    default: 60,
    minimum: 10,
    maximum: 60,
    description: 'Seconds an authorization code is valid. A client redeems it at once; whoever stole it comes later.',
  }),
  refreshTokenIdleLifetime: Type.Integer({
    default: 7 * DAY,
    minimum: 3600,
    maximum: 400 * DAY,
    weakerAbove: 30 * DAY,
    weakness: 'a refresh token that nobody misses stays usable that long.',
    description: 'Seconds after which an unused refresh token ends. A forgotten device loses its access by itself.',
  }),
  refreshTokenLifetime: Type.Integer({
    default: 30 * DAY,
    minimum: 3600,
    maximum: 400 * DAY,
    description:
      'Seconds after a login at which its refresh tokens end, however often they are used. Rotation cannot extend it.',
  }),
})

export type TokensConfig = Static<typeof tokensVariables>

export function checkTokens(tokens: TokensConfig, source: Source): TokensConfig {
  if (tokens.refreshTokenIdleLifetime > tokens.refreshTokenLifetime) {
    source.refuse(
      'REFRESH_TOKEN_IDLE_LIFETIME',
      `is ${tokens.refreshTokenIdleLifetime}, longer than REFRESH_TOKEN_LIFETIME (${tokens.refreshTokenLifetime})`,
      'Lower it, or raise REFRESH_TOKEN_LIFETIME.',
    )
  }
  return tokens
}
