import { type Static, Type } from '@sinclair/typebox'
import type { Source } from './variables.js'

const HOUR = 3600
const DAY = 24 * HOUR

export const keysVariables = Type.Object({
  signingAlg: Type.Union([Type.Literal('ES256'), Type.Literal('RS256'), Type.Literal('PS256'), Type.Literal('EdDSA')], {
    default: 'ES256',
    description:
      'Algorithm that access tokens are signed with. ES256 is known to every library and ten times faster than RSA.',
  }),
  rotationInterval: Type.Integer({
    variable: 'SIGNING_KEY_ROTATION_INTERVAL',
    default: 90 * DAY,
    minimum: HOUR,
    maximum: 400 * DAY,
    description:
      'Seconds a signing key signs before the next one takes over. Bounds what a key that leaked unnoticed is worth.',
  }),
  publishBefore: Type.Integer({
    variable: 'SIGNING_KEY_PUBLISH_BEFORE',
    default: DAY,
    minimum: 600,
    maximum: 30 * DAY,
    description: 'Seconds a new key is in the JWKS before it signs. Longer than any verifier caches the JWKS.',
  }),
})

export type KeysConfig = Static<typeof keysVariables>

export function checkKeys(keys: KeysConfig, source: Source): KeysConfig {
  if (keys.publishBefore >= keys.rotationInterval) {
    source.refuse(
      'SIGNING_KEY_PUBLISH_BEFORE',
      `is ${keys.publishBefore}, not shorter than SIGNING_KEY_ROTATION_INTERVAL (${keys.rotationInterval})`,
      'Lower it, or rotate less often: a key must be published before it signs.',
    )
  }
  return keys
}
