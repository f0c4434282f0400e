// Owns what is kept: one module per aggregate, each a set of functions on it that take the database first. The only
// folder that says Prisma, pg or SQL.

export * as accessTokens from './access-tokens.js'
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
export type { ClientSecret, ClientUse, ClientWithSecrets, StoredClient } from './clients.js'
export * as clients from './clients.js'
export type { Decision } from './consents.js'
export * as consents from './consents.js'
export { type Database, type Db, isDatabaseAway, isUniqueViolation, openDatabase, sqlState } from './database.js'
export { type Description, type MovedTable, type Snapshot, withSnapshot } from './dump.js'
export type { FailureKey } from './failures.js'
export * as failures from './failures.js'
export type { AcceptedCredential, Gateway } from './gateways.js'
export * as gateways from './gateways.js'
export type { AnsweredInteraction, Grant, GrantOutcome } from './grants.js'
export * as grants from './grants.js'
export type { Interaction } from './interactions.js'
export * as interactions from './interactions.js'
export { checkDescription, LoadError, type Loading, loadDatabase } from './load.js'
export type { Lane, Message, WaitingMessage } from './outbox.js'
export * as outbox from './outbox.js'
export type { Horizon, PartitionHealth } from './partitions.js'
export * as partitions from './partitions.js'
export type { Presence, RateGrant, RateLease } from './rate-limits.js'
export * as rateLimits from './rate-limits.js'
export type { RefreshToken } from './refresh-tokens.js'
export * as refreshTokens from './refresh-tokens.js'
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
export type { HeldRole } from './rows.js'
export type { SecretKeyRow } from './secret-keys.js'
export * as secretKeys from './secret-keys.js'
export type { NewSession, PasswordLogin, Session } from './sessions.js'
export * as sessions from './sessions.js'
export * as settings from './settings.js'
export type { SigningKeyRow } from './signing-keys.js'
export * as signingKeys from './signing-keys.js'
export type { NewStatusIndex, StatusOwner } from './status-lists.js'
export * as statusLists from './status-lists.js'
export type { Tier } from './tiers.js'
export * as tiers from './tiers.js'
export type { NewAccessToken, NewRefreshToken, NewTokens } from './tokens.js'
export type { User, UserWithPassword } from './users.js'
export * as users from './users.js'
export type { WrappedKey } from './wrapped-keys.js'
export * as wrappedKeys from './wrapped-keys.js'
