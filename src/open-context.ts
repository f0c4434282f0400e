import { createApiKeyUseTrail } from './api-keys/index.js'
import { createAuditTrail } from './audit/index.js'
import { createClientDirectory, createClientKeys, createClientUseTrail } from './clients/index.js'
import type { Context } from './context.js'
import { createGatewayCatalogue } from './gateways/index.js'
import { createFailureLimits } from './http/index.js'
import { createUserDirectory } from './identity/index.js'
import { createStarts } from './interaction/index.js'
import { createRateLimits } from './limits/index.js'
import { TemporarilyUnavailableError } from './oauth/index.js'
import { type Clock, systemClock } from './platform/clock.js'
import type { Config } from './platform/config/index.js'
import { givenMasterKeys, type MasterKeys, masterKey, openMasterKeyFiles } from './platform/crypto/master-key.js'
import { createPasswordHasher } from './platform/crypto/password.js'
import type { Logger } from './platform/log.js'
import { monotonicMilliseconds } from './platform/monotonic.js'
import { createOutbound, type Outbound } from './platform/outbound/index.js'
import { type Random, systemRandom } from './platform/random.js'
import { createClientDocuments } from './protocol/client-documents/index.js'
import { createResourceCatalogue } from './resources/index.js'
import {
  createRevocationList,
  createStatusIndexes,
  createStatusLists,
  longestAccessToken,
  roleHolder,
} from './revocation/index.js'
import { openSecretKeys } from './secrets/index.js'
import { type Change, listenForChanges, openDatabase, outbox } from './store/index.js'
import { createKeyRing, isSigningAlg } from './tokens/index.js'
import { createUsageTrail } from './usage/index.js'

export interface OpenContextOptions {
  readonly config: Config
  readonly log: Logger
  readonly databaseUrl: string
  readonly clock?: Clock
  readonly random?: Random
  /** Serves requests for long: listens for changes of other processes and reads again. A command needs none of it. */
  readonly follow?: boolean
  /** What asks addresses that a stranger named, for tests. */
  readonly outbound?: Outbound
}

/** Milliseconds between reads of the revocation list: a lost notification costs at most that. */
const pollInterval = 500
/** Milliseconds that memory may be relied on without having heard of the database. */
const maxSilence = 3_000

/** Puts together what a process needs. The database must be migrated. */
export async function openContext(options: OpenContextOptions): Promise<Context> {
  const { config, log, databaseUrl, clock = systemClock, random = systemRandom, follow = false } = options
  const db = openDatabase({
    url: databaseUrl,
    poolSize: config.database.poolSize,
    onError: (error) => log.warn({ err: error }, 'a database connection was lost'),
  })
  try {
    const masterKeys = openMasterKeys(config, random)
    const secrets = await openSecretKeys({ db, masterKeys, random, clock })
    const keys = createKeyRing({
      db,
      masterKeys,
      clock,
      random,
      config,
      longestToken: longestAccessToken,
      onUnopened: (kid) =>
        log.error({ kid }, 'a signing key cannot be opened by the master keys of this process: give it the new one'),
    })
    const resources = createResourceCatalogue(db)
    const gateways = createGatewayCatalogue(db)
    const revocations = createRevocationList(db, clock)
    const { issuer } = config.server
    const statusIndexes = createStatusIndexes({ db, clock, random, secrets, issuer, revocations })
    const statusLists = createStatusLists(db, clock, secrets)
    const clients = createClientDirectory(db)
    const users = createUserDirectory(db)
    const outbound = options.outbound ?? createOutbound(config.outbound)
    const clientKeys = createClientKeys({ outbound, clock, log })
    const clientUse = createClientUseTrail(db, log)
    const apiKeyUse = createApiKeyUseTrail(db, log)
    const usage = createUsageTrail(db, log)
    const failures = createFailureLimits({ db, clock, config, secrets })
    const starts = createStarts(config.limits.interactionsPerNetwork)
    const rateLimits = createRateLimits({ db, clock, random, secrets, log, config })
    const audit = createAuditTrail({ db, clock, random, log })

    const refresh = async (): Promise<void> => {
      clients.dropAll()
      users.dropAll()
      await Promise.all([
        ...[keys.refresh(), resources.refresh(), gateways.refresh()],
        ...[revocations.refresh(), rateLimits.tiers.refresh()],
      ])
    }
    await refresh()
    if (isSigningAlg(config.keys.signingAlg)) {
      // RS256: what a client gets who says nothing. OIDC Registration §2
      await keys.ensure([config.keys.signingAlg, 'RS256', ...[...resources.signingAlgs()].filter(isSigningAlg)])
    }

    const flush = async (): Promise<void> => {
      await Promise.all([audit.flush(), clientUse.flush(), apiKeyUse.flush()])
    }
    // Where the notification was lost, the list is what tells. A process that has not heard that its key ended must not
    // sign with it until the next look at the keys, nor give a client the roles that it had.
    const readKeys = (): void => {
      keys.refresh().catch((error) => log.warn({ err: error }, 'the signing keys could not be read again'))
    }
    revocations.follow({
      onNews(entries) {
        for (const { kind, target } of entries) {
          if (kind === 'client' || kind === 'client_secret') clients.drop(target)
          if (kind === 'user') users.drop(target)
          if (kind === 'role') clients.drop(roleHolder(target))
        }
        if (entries.some(({ kind }) => kind === 'key')) readKeys()
      },
      onReset() {
        clients.dropAll()
        users.dropAll()
        readKeys()
      },
    })
    const messageListeners = new Set<(retry: boolean) => void>()
    const following = follow
      ? await followChanges({
          url: databaseUrl,
          log,
          refresh,
          clients,
          users,
          keys,
          resources,
          gateways,
          revocations,
          failures,
          rateLimits,
          flush,
          flushUsage: usage.flush,
          onMessage(retry) {
            for (const listener of messageListeners) listener(retry)
          },
          forget() {
            statusIndexes.drop()
            statusLists.reset()
          },
        })
      : undefined

    const ctx: Context = {
      config,
      log,
      clock,
      random,
      db,
      outbound,
      secrets,
      keys,
      passwords: createPasswordHasher({ concurrency: 2, queue: config.limits.passwordQueue }),
      clients,
      users,
      clientKeys,
      // Of all of this, which it is a part of.
      get clientDocuments() {
        return clientDocuments
      },
      clientUse,
      apiKeyUse,
      usage,
      resources,
      gateways,
      revocations,
      statusIndexes,
      statusLists,
      failures,
      starts,
      rateLimits,
      audit,
      assertFresh() {
        if (following && !following.isFresh()) throw away()
      },
      assertConnected() {
        if (following && !(following.isConnected() && following.isFresh())) throw away()
      },
      onMessage(listener) {
        messageListeners.add(listener)
        return () => void messageListeners.delete(listener)
      },
      refresh,
      async close() {
        await following?.close()
        await Promise.all([flush(), usage.flush(), rateLimits.close()])
        await db.close()
      },
    }
    const clientDocuments = createClientDocuments(ctx)
    return ctx
  } catch (error) {
    await db.close().catch(() => undefined)
    throw error
  }
}

function away(): TemporarilyUnavailableError {
  return new TemporarilyUnavailableError('The server cannot answer now.', { reason: 'database_away', retryAfter: 5 })
}

/** Those of the settings; without them, those of the data directory. */
export function openMasterKeys({ secrets, database }: Config, random: Random): MasterKeys {
  const previous = secrets.masterKeyPrevious ? [masterKey(secrets.masterKeyPrevious)] : []
  return secrets.masterKey
    ? givenMasterKeys(masterKey(secrets.masterKey), ...previous)
    : openMasterKeyFiles(database.dataDir, random, ...previous)
}

interface Followed
  extends Pick<
    Context,
    | ('clients' | 'users' | 'keys' | 'resources' | 'gateways' | 'revocations')
    | ('failures' | 'rateLimits' | 'log' | 'refresh')
  > {
  readonly url: string
  readonly flush: () => Promise<void>
  /** What nobody waits for: less often, since it is a row for each credential in use. */
  readonly flushUsage: () => Promise<void>
  readonly onMessage: (retry: boolean) => void
  /** What cannot be read again: the database that was lost may come back as an older state of itself. */
  readonly forget: () => void
}

interface Following {
  readonly isFresh: () => boolean
  readonly isConnected: () => boolean
  readonly close: () => Promise<void>
}

/** Hears what other processes change, reads the revocation list every 500 ms besides, and the rest every 5 s. */
async function followChanges(options: Followed): Promise<Following> {
  const { url, log, refresh, clients, users, keys, resources, gateways, revocations } = options
  const { failures, rateLimits, flush, flushUsage, onMessage, forget } = options
  let heardAt = monotonicMilliseconds()
  let turns = 0
  let polling = Promise.resolve()
  let counting = Promise.resolve()

  const heard = <Result>(work: Promise<Result>): void => {
    const since = monotonicMilliseconds()
    work.then(
      () => {
        heardAt = Math.max(heardAt, since)
      },
      (error) => log.warn({ err: error }, 'what is in memory could not be read again'),
    )
  }
  const apply = (change: Change): void => {
    if (change.kind === 'client') clients.drop(change.id)
    else if (change.kind === 'user') users.drop(change.id)
    else if (change.kind === 'failures') failures.hear(change.id)
    else if (change.kind === 'outbox') onMessage(change.id === outbox.retryNotice)
    else if (change.kind === 'tiers') heard(rateLimits.tiers.refresh())
    else if (change.kind === 'revocation') heard(revocations.refresh())
    else if (change.kind === 'keys') heard(keys.refresh())
    else if (change.kind === 'gateways') heard(gateways.refresh())
    else heard(resources.refresh())
  }
  const listener = await listenForChanges({
    url,
    onChange: apply,
    onConnect() {
      forget()
      heard(refresh())
    },
    onError: (error) => log.warn({ err: error }, 'the connection that hears of changes was lost'),
  })
  const timer = setInterval(() => {
    turns++
    const slow = [keys, resources, gateways, rateLimits.tiers]
    const rest = turns % 10 === 0 ? slow.map((each) => each.refresh()) : []
    const reads = [revocations.refresh(), ...rest]
    heard(Promise.all(reads))
    if (turns % 2 === 0) polling = polling.then(flush).catch(() => undefined)
    // By itself: it may be many rows, and the audit does not wait for them.
    if (turns % 10 === 0) counting = counting.then(flushUsage).catch(() => undefined)
  }, pollInterval)
  timer.unref()

  return {
    // Whether the listening connection stands is not asked: what is read at most every 500 ms does not need it, and a
    // database that restarts, or a connection that is cut, need not cost a token.
    isFresh: () => monotonicMilliseconds() - heardAt < maxSilence,
    isConnected: () => listener.connected(),
    async close() {
      clearInterval(timer)
      await listener.close()
      await Promise.all([polling, counting])
    },
  }
}
