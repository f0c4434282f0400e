import type { ApiKeyUseTrail } from './api-keys/index.js'
import type { AuditTrail } from './audit/index.js'
import type { ClientDirectory, ClientKeys, ClientUseTrail } from './clients/index.js'
import type { GatewayCatalogue } from './gateways/index.js'
import type { FailureLimits } from './http/index.js'
import type { UserDirectory } from './identity/index.js'
import type { Starts } from './interaction/index.js'
import type { RateLimits } from './limits/index.js'
import type { Clock } from './platform/clock.js'
import type { Config } from './platform/config/index.js'
import type { PasswordHasher } from './platform/crypto/password.js'
import type { Logger } from './platform/log.js'
import type { Outbound } from './platform/outbound/index.js'
import type { Random } from './platform/random.js'
import type { ClientDocuments } from './protocol/client-documents/index.js'
import type { ResourceCatalogue } from './resources/index.js'
import type { RevocationList, StatusIndexes, StatusLists } from './revocation/index.js'
import type { SecretKeys } from './secrets/index.js'
import type { Database } from './store/index.js'
import type { KeyRing } from './tokens/index.js'
import type { UsageTrail } from './usage/index.js'

/** What happens outside the process, and what this process keeps in memory: an argument of whoever needs it. */
export interface Context {
  readonly config: Config
  readonly log: Logger
  readonly clock: Clock
  readonly random: Random
  readonly db: Database
  /** Asks addresses that a stranger named. */
  readonly outbound: Outbound
  /** Keys of keyed hashes, unwrapped. */
  readonly secrets: SecretKeys
  /** Signing keys. */
  readonly keys: KeyRing
  readonly passwords: PasswordHasher
  readonly clients: ClientDirectory
  /** What is told of users. */
  readonly users: UserDirectory
  /** By which clients sign. */
  readonly clientKeys: ClientKeys
  /** By which clients describe themselves. */
  readonly clientDocuments: ClientDocuments
  readonly clientUse: ClientUseTrail
  readonly apiKeyUse: ApiKeyUseTrail
  readonly usage: UsageTrail
  readonly resources: ResourceCatalogue
  readonly gateways: GatewayCatalogue
  readonly revocations: RevocationList
  /** What new tokens get in status lists. */
  readonly statusIndexes: StatusIndexes
  readonly statusLists: StatusLists
  readonly failures: FailureLimits
  readonly starts: Starts
  readonly rateLimits: RateLimits
  readonly audit: AuditTrail
  /**
   * Whether what is in memory may be relied on: the database was heard within seconds. Where nothing else asks the
   * database, this does, so that a server without it issues nothing.
   *
   * @throws {TemporarilyUnavailableError}
   */
  readonly assertFresh: () => void
  /**
   * The same, and at once: also refuses while the connection that hears of changes is gone. For whoever may send requests
   * elsewhere.
   *
   * @throws {TemporarilyUnavailableError}
   */
  readonly assertConnected: () => void
  /**
   * Calls back when a message was put into the outbox, by whatever process; now and then it does not. `retry`: an operator
   * wants what waits to be tried now.
   *
   * @returns stops
   */
  readonly onMessage: (listener: (retry: boolean) => void) => () => void
  /** Reads everything in memory again: at start, after a lost connection, and in tests. */
  readonly refresh: () => Promise<void>
  /** Writes what was collected in memory and lets go of the database. */
  readonly close: () => Promise<void>
}

/** Who asked, for limits and audit. */
export interface Origin {
  readonly ip?: string | undefined
  readonly requestId?: string | undefined
}
