import type { Test } from 'tap'
import {
  type AuditEvent,
  type AuthorizationCode,
  authorizationCodes,
  clients,
  type Database,
  type Decision,
  dayBucket,
  type Grant,
  grants,
  type NewSession,
  openDatabase,
  type RefreshToken,
  refreshTokens,
  type StoredClient,
  type User,
  users,
  weekBucket,
} from '../../src/store/index.js'
import { TestClock } from './clock.js'
import { createTestDatabase } from './database.js'
import { SeededRandom } from './random.js'
import { withClient } from './test-postgres.js'

/** What store functions take, on a database of the test's own. */
export interface TestStore {
  readonly db: Database
  readonly url: string
  readonly clock: TestClock
  readonly random: SeededRandom
  readonly now: () => Date
  /** Seconds from now. */
  readonly later: (seconds: number) => Date
  /** A statement of the test's own, on a connection of its own. */
  readonly sql: (text: string, values?: readonly unknown[]) => Promise<readonly Record<string, unknown>[]>
  /** Another pool on the same database, as another process has it. */
  readonly another: () => Database
  readonly event: (type?: string, more?: Partial<AuditEvent>) => AuditEvent
}

export async function openTestStore(t: Test, poolSize = 4): Promise<TestStore> {
  const { url } = await createTestDatabase(t)
  const clock = new TestClock()
  const random = new SeededRandom(t.fullname)
  const open = (): Database => {
    const db = openDatabase({ url, poolSize })
    t.teardown(() => db.close())
    return db
  }
  return {
    db: open(),
    url,
    clock,
    random,
    now: () => clock.now(),
    later: (seconds) => new Date(clock.now().getTime() + seconds * 1000),
    sql: (text, values = []) => withClient(url, async (client) => (await client.query(text, [...values])).rows),
    another: open,
    event: (type = 'test.event', more = {}) => ({
      id: random.uuid(),
      time: clock.now(),
      type,
      actor: 'system',
      ...more,
    }),
  }
}

export async function addClient(store: TestStore, more: Partial<StoredClient> = {}): Promise<StoredClient> {
  const client: StoredClient = {
    clientId: store.random.uuid(),
    clientName: 'Test application',
    contacts: [],
    redirectUris: ['https://app.example/cb'],
    grantTypes: ['authorization_code', 'refresh_token'],
    responseTypes: ['code'],
    tokenEndpointAuthMethod: 'client_secret_basic',
    scope: [],
    defaultScope: [],
    requiredScope: [],
    applicationType: 'web',
    requirePkce: true,
    firstParty: false,
    allowedOrigins: [],
    allowedResources: [],
    allowedNetworks: [],
    refreshTokenRotation: true,
    refreshTokenRetryWindow: 10,
    defaultAcrValues: [],
    requestUris: [],
    postLogoutRedirectUris: [],
    createdAt: store.now(),
    updatedAt: store.now(),
    ...more,
  }
  await clients.create(store.db, client, undefined)
  return client
}

export async function addUser(store: TestStore): Promise<User> {
  const id = store.random.uuid()
  const times = { createdAt: store.now(), updatedAt: store.now() }
  const user: User = { id, email: `${id}@example.com`, admin: false, allowedNetworks: [], ...times }
  await users.create(store.db, user)
  return user
}

export interface TestSession {
  readonly bucket: number
  readonly id: string
  readonly tokenHash: Buffer
}

export async function addSession(store: TestStore, userId: string, lifetime = 7 * 86_400): Promise<TestSession> {
  const expiresAt = store.later(lifetime)
  const session = { bucket: weekBucket(expiresAt), id: store.random.uuid(), tokenHash: store.random.bytes(32) }
  const idleExpiresAt = store.later(Math.min(lifetime, 12 * 3600))
  await insertSession(store.db, { ...session, userId, createdAt: store.now(), expiresAt, idleExpiresAt })
  return session
}

/** A session as a login leaves it, of a user who need not have a password. */
export async function insertSession(db: Database, session: Omit<NewSession, 'authTime'>): Promise<void> {
  const { bucket, tokenHash, id, userId, createdAt, expiresAt, idleExpiresAt } = session
  await db.pool.query(
    `INSERT INTO session (bucket, token_hash, id, user_id, auth_time, created_at, expires_at, idle_expires_at)
     VALUES ($1, $2, $3, $4, $5, $5, $6, $7)`,
    [bucket, tokenHash, id, userId, createdAt, expiresAt, idleExpiresAt],
  )
}

/** A client, a user and a session. */
export interface Party {
  readonly client: StoredClient
  readonly user: User
  readonly session: TestSession
}

export async function addParty(store: TestStore): Promise<Party> {
  const user = await addUser(store)
  return { client: await addClient(store), user, session: await addSession(store, user.id) }
}

export interface GrantOptions {
  readonly offline?: boolean
  /** Seconds. */
  readonly lifetime?: number
}

export function newGrant(store: TestStore, { client, user, session }: Party, options: GrantOptions = {}): Grant {
  const expiresAt = store.later(options.lifetime ?? 30 * 86_400)
  return {
    bucket: weekBucket(expiresAt),
    id: store.random.uuid(),
    clientId: client.clientId,
    userId: user.id,
    session: { bucket: session.bucket, id: session.id },
    scope: ['read'],
    resources: ['https://api.example.com'],
    offline: options.offline ?? false,
    authTime: store.now(),
    createdAt: store.now(),
    expiresAt,
  }
}

/** A grant and its code, as the statement of /authorize writes them. */
export async function addCode(store: TestStore, party: Party, options: GrantOptions = {}): Promise<AuthorizationCode> {
  const grant = newGrant(store, party, options)
  const expiresAt = store.later(60)
  const code = { bucket: dayBucket(expiresAt), hash: store.random.bytes(32), expiresAt }
  await grants.create(store.db, {
    grant,
    code: { ...code, redirectUri: 'https://app.example/cb', codeChallenge: 'challenge' },
    event: store.event('code.issued'),
  })
  const found = await authorizationCodes.find(store.db, code.bucket, code.hash, store.now())
  if (!found) throw new Error('the code was not created')
  return found
}

export function redemption(store: TestStore, code: AuthorizationCode) {
  return {
    code,
    attemptId: store.random.uuid(),
    tokens: {
      refreshToken: { bucket: code.grant.bucket, hash: store.random.bytes(32), expiresAt: store.later(7 * 86_400) },
    },
    eventId: store.random.uuid(),
    ip: '192.0.2.1',
    requestId: 'request',
    now: store.now(),
  }
}

/** A refresh token of a new grant, by way of its code. */
export async function addRefreshToken(
  store: TestStore,
  party: Party,
  options: GrantOptions = {},
): Promise<RefreshToken> {
  const spent = redemption(store, await addCode(store, party, options))
  await authorizationCodes.redeem(store.db, spent)
  return findRefreshToken(store, spent.tokens.refreshToken)
}

export async function findRefreshToken(
  store: TestStore,
  { bucket, hash }: { readonly bucket: number; readonly hash: Buffer },
): Promise<RefreshToken> {
  const token = await refreshTokens.find(store.db, bucket, hash, store.now())
  if (!token) throw new Error('there is no such refresh token')
  return token
}

export function rotation(store: TestStore, token: RefreshToken, retryWindow = 10) {
  const retryUntil = store.later(retryWindow)
  return {
    token,
    tokens: {
      refreshToken: { bucket: token.bucket, hash: store.random.bytes(32), expiresAt: store.later(7 * 86_400) },
    },
    answer: {
      bucket: dayBucket(retryUntil),
      requestHash: Buffer.alloc(32, 1),
      ciphertext: store.random.bytes(64),
      expiresAt: retryUntil,
    },
    eventId: store.random.uuid(),
    ip: '192.0.2.1',
    requestId: 'request',
    now: store.now(),
  }
}

/** Everything above a grant that can end it, by what the statement of a revocation, or an administrator, writes. */
export const endings: Readonly<Record<string, (store: TestStore, party: Party, grant: Grant) => Promise<unknown>>> = {
  'the grant has ended': ({ sql, now }, _, { id }) =>
    sql('UPDATE authorization_grant SET ended_at = $2 WHERE id = $1', [id, now()]),
  'the grant has expired': ({ sql, now }, _, { id }) =>
    sql('UPDATE authorization_grant SET expires_at = $2 WHERE id = $1', [id, now()]),
  'the session has ended': ({ sql, now }, { session }) =>
    sql('UPDATE session SET ended_at = $2 WHERE id = $1', [session.id, now()]),
  'the session has expired': ({ sql, now }, { session }) =>
    sql('UPDATE session SET expires_at = $2 WHERE id = $1', [session.id, now()]),
  'the client was revoked': ({ sql, now }, { client }) =>
    sql('UPDATE client SET not_before = $2 WHERE client_id = $1', [client.clientId, now()]),
  'the client is disabled': ({ sql, now }, { client }) =>
    sql('UPDATE client SET disabled_at = $2 WHERE client_id = $1', [client.clientId, now()]),
  'the client is deleted': ({ sql }, { client }) => sql('DELETE FROM client WHERE client_id = $1', [client.clientId]),
  'the user was revoked': ({ sql, now }, { user }) =>
    sql('UPDATE user_account SET not_before = $2 WHERE id = $1', [user.id, now()]),
  'the user is disabled': ({ sql, now }, { user }) =>
    sql('UPDATE user_account SET disabled_at = $2 WHERE id = $1', [user.id, now()]),
  'the user is deleted': ({ sql }, { user }) => sql('DELETE FROM user_account WHERE id = $1', [user.id]),
}

/** Of these nothing is left to be found. */
export const leavesNothing: ReadonlySet<string> = new Set(['the client is deleted', 'the user is deleted'])

/** Decisions as a grant of this moment would leave them. */
export async function saveDecisions(
  db: Database,
  userId: string,
  clientId: string,
  decisions: readonly Decision[],
  now: Date,
): Promise<void> {
  for (const { resource, scope, granted } of decisions) {
    await db.pool.query(
      `INSERT INTO consent (user_id, client_id, resource, scope, granted, decided_at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (user_id, client_id, resource, scope) DO UPDATE SET granted = $5, decided_at = $6`,
      [userId, clientId, resource, scope, granted, now],
    )
  }
}
