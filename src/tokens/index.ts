// Owns tokens: how they are made, bound and described. Whoever spends what they are made for writes them.

export {
  type AccessTokenClaims,
  accessTokenType,
  audienceOf,
  clientOf,
  makeAccessToken,
  opensUserInfo,
  optionalClaims,
  signingAlgOf,
} from './access-token.js'
export { idTokenAlgOf, idTokenType, makeIdToken } from './id-token.js'
export { idleEnd, type MadeTokens, makeTokens, type TokenResponse } from './issue.js'
export {
  createKeyRing,
  isSigningAlg,
  type KeyRing,
  type SigningAlg,
  type SigningKey,
  signingAlgs,
} from './keys/index.js'
export { drawOpaque, type Opaque, readOpaque } from './opaque.js'
export { hashRequest, openAnswer, sealAnswer } from './refresh-answer.js'
export { type KnownRoles, type ReadRoles, rolesOfClient, saysRoles } from './roles.js'
export {
  type Asked,
  allowedScope,
  askedResources,
  askedScope,
  asksForOwnScope,
  ownersFor,
  scopeForGrant,
  scopeForToken,
  type TokenScope,
} from './scope.js'
export { sidFor, subjectFor } from './subject.js'
