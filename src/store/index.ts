// Owns what is kept: one module per aggregate, each a set of functions on it that take the database first. The only
// folder that says Prisma, pg or SQL.

export * as accessTokens from './access-tokens.js'
export type { ApiKeyEnd, KeyEnding } from './api-key-ends.js'
export * as apiKeyEnds from './api-key-ends.js'
export type {
  ApiKey,
  ApiKeyChange,
  ApiKeyFilter,
  ApiKeyHash,
  ApiKeyKind,
  ApiKeyOwner,
  ApiKeyPosition,
  ApiKeyState,
  ApiKeyUse,
  NewApiKey,
  PresentedApiKey,
} from './api-keys.js'
export * as apiKeys from './api-keys.js'
export type { AuditEvent, AuditFilter } from './audit-events.js'
export * as auditEvents from './audit-events.js'
export type { AuthorizationCode } from './authorization-codes.js'
export * as authorizationCodes from './authorization-codes.js'
export { dayBucket, permanentBucket, weekBucket } from './buckets.js'
export { type Change, type ChangeListener, listenForChanges, notify } from './changes.js'
export * as clientAssertions from './client-assertions.js'
export type { DocumentReading } from './client-documents.js'
export * as clientDocuments from './client-documents.js'
export type { ClientSecret, ClientUse, ClientWithSecrets, RotatedSecret, StoredClient } from './clients.js'
export * as clients from './clients.js'
export type { Decision, RememberedUse } from './consents.js'
export * as consents from './consents.js'
export { type Database, type Db, isDatabaseAway, isUniqueViolation, openDatabase, sqlState } from './database.js'
export { type Description, type MovedTable, type Snapshot, withSnapshot } from './dump.js'
export type { FailureKey } from './failures.js'
export * as failures from './failures.js'
export type { AcceptedCredential, Gateway } from './gateways.js'
export * as gateways from './gateways.js'
export type { AllowedUse, AnsweredInteraction, Grant, GrantOutcome } from './grants.js'
export * as grants from './grants.js'
export type { Interaction } from './interactions.js'
export * as interactions from './interactions.js'
export { checkDescription, LoadError, type Loading, loadDatabase } from './load.js'
export type { AnnouncedLogout } from './logouts.js'
export type { NewNotice, Notice, NoticeDetail, NoticeKind } from './notices.js'
export * as notices from './notices.js'
export type { Lane, Message, WaitingMessage } from './outbox.js'
export * as outbox from './outbox.js'
export type { Horizon, PartitionHealth } from './partitions.js'
export * as partitions from './partitions.js'
export type { Presence, RateGrant, RateLease } from './rate-limits.js'
export * as rateLimits from './rate-limits.js'
export type { RefreshToken } from './refresh-tokens.js'
export * as refreshTokens from './refresh-tokens.js'
export * as registrationAnswers from './registration-answers.js'
export type { RegistrationToken } from './registration-tokens.js'
export * as registrationTokens from './registration-tokens.js'
export type { Resource, ResourceScope } from './resources.js'
export * as resources from './resources.js'
export type {
  AnnouncedRevocation,
  EndableBy,
  NewRevocation,
  PositionedRevocation,
  Revocation,
  RevocationKind,
} from './revocations.js'
export * as revocations from './revocations.js'
export type { Role, RoleHolder } from './roles.js'
export * as roles from './roles.js'
export type { Rotatable } from './rotations.js'
export * as rotations from './rotations.js'
export type { HeldRole } from './rows.js'
export type { SecretKeyRow } from './secret-keys.js'
export * as secretKeys from './secret-keys.js'
export type { ListedSession, NewSession, PasswordLogin, Session } from './sessions.js'
export * as sessions from './sessions.js'
export * as settings from './settings.js'
export type { SigningKeyRow } from './signing-keys.js'
export * as signingKeys from './signing-keys.js'
export type { NewStatusIndex, StatusOwner } from './status-lists.js'
export * as statusLists from './status-lists.js'
export type { Tier, TierHolders } from './tiers.js'
export * as tiers from './tiers.js'
export type { NewAccessToken, NewRefreshToken, NewTokens } from './tokens.js'
export * as unusedClients from './unused-clients.js'
export type {
  CountedUse,
  CredentialKind,
  CredentialUse,
  NetworkUse,
  UsedNetwork,
} from './usage.js'
export * as usage from './usage.js'
export type { ToldUser, User, UserProfile, UserWithPassword } from './users.js'
export * as users from './users.js'
export type { WrappedKey } from './wrapped-keys.js'
export * as wrappedKeys from './wrapped-keys.js'
