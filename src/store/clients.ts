import { notify } from './changes.js'
import type { ClientSecret } from './client-secrets.js'
import type { Database, Db, Row } from './database.js'
import { type Client as ClientRow, Prisma } from './prisma/client.js'
import type { HeldRole } from './rows.js'
import { shownHash } from './shown-clients.js'

/** As registered; what is in the database was checked before. */
type SigningAlgName = 'RS256' | 'PS256' | 'ES256' | 'EdDSA'

/** A client as registered: its metadata by the names of RFC 7591 in camelCase, and its state. */
export interface StoredClient {
  readonly clientId: string
  readonly clientName?: string | undefined
  readonly clientUri?: string | undefined
  readonly logoUri?: string | undefined
  readonly policyUri?: string | undefined
  readonly tosUri?: string | undefined
  readonly contacts: readonly string[]
  readonly redirectUris: readonly string[]
  readonly grantTypes: readonly string[]
  readonly responseTypes: readonly string[]
  readonly tokenEndpointAuthMethod: string
  readonly scope: readonly string[]
  readonly defaultScope: readonly string[]
  readonly requiredScope: readonly string[]
  readonly applicationType: 'web' | 'native'
  readonly jwks?: { readonly keys: readonly Record<string, unknown>[] } | undefined
  readonly jwksUri?: string | undefined
  readonly requirePkce: boolean
  readonly firstParty: boolean
  readonly allowedOrigins: readonly string[]
  readonly allowedResources: readonly string[]
  readonly allowedNetworks: readonly string[]
  readonly accessTokenLifetime?: number | undefined
  readonly refreshTokenIdleLifetime?: number | undefined
  readonly refreshTokenLifetime?: number | undefined
  readonly refreshTokenRotation: boolean
  readonly refreshTokenRetryWindow: number
  readonly softwareId?: string | undefined
  readonly softwareVersion?: string | undefined
  /** Of the limit on its requests. */
  readonly rateTier?: string | undefined
  /** public or pairwise. OIDC Core §8 */
  readonly subjectType?: 'public' | 'pairwise' | undefined
  readonly sectorIdentifierUri?: string | undefined
  readonly idTokenSignedResponseAlg?: SigningAlgName | undefined
  readonly userinfoSignedResponseAlg?: SigningAlgName | undefined
  readonly requestObjectSigningAlg?: string | undefined
  readonly requestUris: readonly string[]
  readonly tokenEndpointAuthSigningAlg?: string | undefined
  /** issuer or endpoint */
  readonly clientAssertionAudience?: 'issuer' | 'endpoint' | undefined
  /** Seconds. */
  readonly defaultMaxAge?: number | undefined
  readonly requireAuthTime?: boolean | undefined
  readonly defaultAcrValues: readonly string[]
  readonly initiateLoginUri?: string | undefined
  readonly postLogoutRedirectUris: readonly string[]
  readonly backchannelLogoutUri?: string | undefined
  readonly backchannelLogoutSessionRequired?: boolean | undefined
  /** By RFC 7591, and not by an administrator. */
  readonly selfRegistered?: boolean | undefined
  /** SHA-256 of the token by which it reads and changes its own registration. RFC 7592 §3 */
  readonly registrationAccessHash?: Buffer | undefined
  /** Deleted then, unless it got a token before. */
  readonly unusedUntil?: Date | undefined
  /** SHA-256 of the document at its client_id, where that is what describes it. */
  readonly documentHash?: Buffer | undefined
  readonly documentFetchedAt?: Date | undefined
  readonly documentFreshUntil?: Date | undefined
  readonly notBefore?: Date | undefined
  readonly disabledAt?: Date | undefined
  readonly lastUsedAt?: Date | undefined
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** What every request of a client needs, in one read. */
export interface ClientWithSecrets extends StoredClient {
  readonly secrets: readonly ClientSecret[]
  /** Stands for all that users are shown of it, where a stranger describes it (`shown-clients.ts`). */
  readonly shownHash?: Buffer | undefined
  /** What it holds as itself, for client_credentials. */
  readonly roles: readonly HeldRole[]
  /** The resource whose server this client is. */
  readonly resourceServerOf?: string | undefined
  /** The name of the gateway whose credential this client is. */
  readonly gateway?: string | undefined
}

/**
 * By name: of `c.*` a statement that is prepared has the columns of that time, and fails once on each connection when the next
 * release adds one.
 */
const columns = `
  c.client_id, c.client_name, c.client_uri, c.logo_uri, c.policy_uri, c.tos_uri, c.contacts, c.redirect_uris,
  c.grant_types, c.response_types, c.token_endpoint_auth_method, c.scope, c.default_scope, c.required_scope,
  c.application_type, c.jwks, c.jwks_uri, c.require_pkce, c.first_party, c.allowed_origins, c.allowed_resources,
  c.allowed_networks, c.access_token_lifetime, c.refresh_token_idle_lifetime, c.refresh_token_lifetime,
  c.refresh_token_rotation, c.refresh_token_retry_window, c.software_id, c.software_version, c.rate_tier, c.subject_type,
  c.sector_identifier_uri, c.id_token_signed_response_alg, c.userinfo_signed_response_alg, c.request_object_signing_alg,
  c.request_uris, c.token_endpoint_auth_signing_alg, c.client_assertion_audience, c.default_max_age, c.require_auth_time,
  c.default_acr_values, c.initiate_login_uri, c.post_logout_redirect_uris, c.backchannel_logout_uri,
  c.backchannel_logout_session_required, c.self_registered, c.registration_access_hash, c.unused_until, c.document_hash,
  c.document_fetched_at, c.document_fresh_until, c.not_before, c.disabled_at, c.last_used_at, c.created_at, c.updated_at`

const findStatement = `
  SELECT ${columns}, ${shownHash} AS shown_hash, r.identifier AS resource_server_of, g.name AS gateway,
         (SELECT json_agg(json_build_object('id', s.id, 'method', s.method, 'hash', encode(s.hash, 'hex'), 'keyId', s.key_id,
                                            'createdAt', s.created_at, 'expiresAt', s.expires_at, 'lastUsedAt', s.last_used_at)
                          ORDER BY s.created_at DESC)
            FROM client_secret s WHERE s.client_id = c.client_id) AS secrets,
         (SELECT json_agg(json_build_object('resource', o.resource, 'name', o.name, 'scope', o.scope))
            FROM role_holder h JOIN role o ON o.id = h.role_id WHERE h.kind = 'client' AND h.holder = c.client_id) AS roles
    FROM client c LEFT JOIN resource r ON r.client_id = c.client_id LEFT JOIN gateway g ON g.client_id = c.client_id
   WHERE c.client_id = $1`

/** @returns undefined when there is no such client; a disabled one is found */
export async function find(database: Database, clientId: string): Promise<ClientWithSecrets | undefined> {
  const [row] = await database.query('clients.find', findStatement, [clientId])
  if (!row) return undefined
  return {
    ...fromColumns(row),
    shownHash: row['shown_hash'] ?? undefined,
    secrets: ((row['secrets'] as Row[] | null) ?? []).map((secret) => ({
      id: secret['id'],
      method: secret['method'],
      hash: Buffer.from(secret['hash'], 'hex'),
      keyId: secret['keyId'] ?? undefined,
      createdAt: new Date(secret['createdAt']),
      expiresAt: secret['expiresAt'] ? new Date(secret['expiresAt']) : undefined,
      lastUsedAt: secret['lastUsedAt'] ? new Date(secret['lastUsedAt']) : undefined,
    })),
    roles: row['roles'] ?? [],
    resourceServerOf: row['resource_server_of'] ?? undefined,
    gateway: row['gateway'] ?? undefined,
  }
}

/** Which of these clients get tokens by themselves, and may reach this API with them; disabled ones, too. */
export async function listReaching(
  database: Database,
  clientIds: readonly string[],
  resource: string,
): Promise<ReadonlySet<string>> {
  if (clientIds.length === 0) return new Set()
  const rows = await database.query(
    'clients.list_reaching',
    `SELECT client_id FROM client
      WHERE client_id = ANY ($1::text[]) AND 'client_credentials' = ANY (grant_types)
        AND (allowed_resources = '{}' OR $2 = ANY (allowed_resources))`,
    [clientIds, resource],
  )
  return new Set(rows.map((row) => row['client_id']))
}

/** Holds the row to the end of the transaction, so that of two changes the second sees the first. */
export async function findForUpdate(db: Db, clientId: string): Promise<StoredClient | undefined> {
  await db.prisma.$executeRaw`SELECT 1 FROM client WHERE client_id = ${clientId} FOR UPDATE`
  const row = await db.prisma.client.findUnique({ where: { clientId } })
  return row ? fromPrisma(row) : undefined
}

export async function list(db: Db): Promise<readonly StoredClient[]> {
  return (await db.prisma.client.findMany({ orderBy: [{ createdAt: 'asc' }, { clientId: 'asc' }] })).map(fromPrisma)
}

export async function create(db: Db, client: StoredClient, secret: ClientSecret | undefined): Promise<void> {
  await db.prisma.client.create({
    data: {
      ...toPrisma(client),
      ...(secret ? { secrets: { create: { ...secret, hash: new Uint8Array(secret.hash) } } } : {}),
    },
    select: { clientId: true },
  })
  await notify(db, { kind: 'client', id: client.clientId })
}

/** Replaces the metadata; secrets and state are left. */
export async function update(db: Db, client: StoredClient): Promise<void> {
  const { clientId, ...all } = toPrisma(client)
  const { notBefore: _, disabledAt: __, lastUsedAt: ___, createdAt: ____, unusedUntil: _____, ...data } = all
  await db.prisma.client.update({ where: { clientId }, data, select: { clientId: true } })
  await notify(db, { kind: 'client', id: clientId })
}

/** Replaces the token by which it changes its registration. @returns false where it is another than `from` */
export async function rotateRegistrationAccess(db: Db, clientId: string, from: Buffer, to: Buffer): Promise<boolean> {
  const count = await db.prisma.$executeRaw`
    UPDATE client SET registration_access_hash = ${to}
     WHERE client_id = ${clientId} AND registration_access_hash = ${from}`
  return count === 1
}

/** Enables a disabled client; what was issued before stays ended. */
export async function enable(db: Db, clientId: string, now: Date): Promise<void> {
  await db.prisma.$executeRaw`
    UPDATE client
       SET disabled_at = NULL,
           not_before = CASE WHEN not_before > ${now}::timestamptz + interval '2 seconds' THEN not_before ELSE ${now} END
     WHERE client_id = ${clientId}`
  await notify(db, { kind: 'client', id: clientId })
}

/** The client, its secrets, its roles and what users decided about it. Its grants end because they no longer find it. */
export async function remove(db: Db, clientId: string): Promise<void> {
  await db.prisma.roleHolder.deleteMany({ where: { kind: 'client', holder: clientId } })
  await db.prisma.consent.deleteMany({ where: { clientId } })
  await db.prisma.client.delete({ where: { clientId }, select: { clientId: true } })
  await notify(db, { kind: 'client', id: clientId })
}

/** How many clients are registered for each of the scopes. */
export async function countRegisteredFor(db: Db, scope: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const counts = await Promise.all(scope.map((name) => db.prisma.client.count({ where: { scope: { has: name } } })))
  return new Map(scope.map((name, index) => [name, counts[index] ?? 0]))
}

export interface ClientUse {
  readonly clientId: string
  /** Undefined for a public client. */
  readonly secretId?: string | undefined
  readonly at: Date
}

/**
 * Writes behind when clients and their secrets were last used. A client that somebody else is changing or writing right now
 * is left out: this waits for nobody, so it can deadlock with nobody, and the next use is written.
 */
export async function recordUse(database: Database, uses: readonly ClientUse[]): Promise<void> {
  await database.query(
    'clients.record_use',
    `WITH input AS (
       SELECT * FROM unnest($1::text[], $2::uuid[], $3::timestamptz[]) AS i (client_id, secret_id, at)
     ), held AS (
       SELECT c.client_id FROM client c JOIN (SELECT DISTINCT client_id FROM input) i USING (client_id)
        FOR NO KEY UPDATE OF c SKIP LOCKED
     ), secrets AS (
       UPDATE client_secret s SET last_used_at = GREATEST(s.last_used_at, i.at) FROM input i, held
        WHERE s.id = i.secret_id AND held.client_id = s.client_id
     )
     UPDATE client c SET last_used_at = GREATEST(c.last_used_at, i.at)
       FROM (SELECT client_id, max(at) AS at FROM input GROUP BY client_id) i JOIN held USING (client_id)
      WHERE c.client_id = i.client_id`,
    [uses.map((use) => use.clientId), uses.map((use) => use.secretId ?? null), uses.map((use) => use.at)],
  )
}

/** Whether any client may call us from a page of this origin. */
export async function isAllowedOrigin(database: Database, origin: string): Promise<boolean> {
  const rows = await database.query(
    'clients.is_allowed_origin',
    'SELECT 1 FROM client WHERE allowed_origins @> ARRAY[$1] AND disabled_at IS NULL LIMIT 1',
    [origin],
  )
  return rows.length > 0
}

function fromPrisma(row: ClientRow): StoredClient {
  return {
    ...row,
    clientName: row.clientName ?? undefined,
    clientUri: row.clientUri ?? undefined,
    logoUri: row.logoUri ?? undefined,
    policyUri: row.policyUri ?? undefined,
    tosUri: row.tosUri ?? undefined,
    applicationType: row.applicationType === 'native' ? 'native' : 'web',
    allowedNetworks: row.allowedNetworks ?? [],
    jwks: (row.jwks as StoredClient['jwks'] | null) ?? undefined,
    jwksUri: row.jwksUri ?? undefined,
    accessTokenLifetime: row.accessTokenLifetime ?? undefined,
    refreshTokenIdleLifetime: row.refreshTokenIdleLifetime ?? undefined,
    refreshTokenLifetime: row.refreshTokenLifetime ?? undefined,
    softwareId: row.softwareId ?? undefined,
    softwareVersion: row.softwareVersion ?? undefined,
    rateTier: row.rateTier ?? undefined,
    subjectType: (row.subjectType as StoredClient['subjectType'] | null) ?? undefined,
    sectorIdentifierUri: row.sectorIdentifierUri ?? undefined,
    idTokenSignedResponseAlg: (row.idTokenSignedResponseAlg as SigningAlgName | null) ?? undefined,
    userinfoSignedResponseAlg: (row.userinfoSignedResponseAlg as SigningAlgName | null) ?? undefined,
    requestObjectSigningAlg: row.requestObjectSigningAlg ?? undefined,
    requestUris: row.requestUris ?? [],
    tokenEndpointAuthSigningAlg: row.tokenEndpointAuthSigningAlg ?? undefined,
    clientAssertionAudience:
      (row.clientAssertionAudience as StoredClient['clientAssertionAudience'] | null) ?? undefined,
    defaultMaxAge: row.defaultMaxAge ?? undefined,
    requireAuthTime: row.requireAuthTime ?? undefined,
    defaultAcrValues: row.defaultAcrValues ?? [],
    initiateLoginUri: row.initiateLoginUri ?? undefined,
    postLogoutRedirectUris: row.postLogoutRedirectUris ?? [],
    backchannelLogoutUri: row.backchannelLogoutUri ?? undefined,
    backchannelLogoutSessionRequired: row.backchannelLogoutSessionRequired ?? undefined,
    selfRegistered: row.selfRegistered ?? undefined,
    registrationAccessHash: row.registrationAccessHash ? Buffer.from(row.registrationAccessHash) : undefined,
    unusedUntil: row.unusedUntil ?? undefined,
    documentHash: row.documentHash ? Buffer.from(row.documentHash) : undefined,
    documentFetchedAt: row.documentFetchedAt ?? undefined,
    documentFreshUntil: row.documentFreshUntil ?? undefined,
    notBefore: row.notBefore ?? undefined,
    disabledAt: row.disabledAt ?? undefined,
    lastUsedAt: row.lastUsedAt ?? undefined,
  }
}

/** The row of a hand-written statement: its columns are the model's, in snake_case. */
function fromColumns(row: Row): StoredClient {
  const camel: Row = {}
  for (const [column, value] of Object.entries(row)) {
    camel[column.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())] = value
  }
  const { secrets: _, roles: __, resourceServerOf: ___, gateway: ____, shownHash: _____, ...columns } = camel
  return fromPrisma(columns as ClientRow)
}

function toPrisma(client: StoredClient): Prisma.ClientUncheckedCreateInput & { clientId: string } {
  return {
    clientId: client.clientId,
    clientName: client.clientName ?? null,
    clientUri: client.clientUri ?? null,
    logoUri: client.logoUri ?? null,
    policyUri: client.policyUri ?? null,
    tosUri: client.tosUri ?? null,
    contacts: [...client.contacts],
    redirectUris: [...client.redirectUris],
    grantTypes: [...client.grantTypes],
    responseTypes: [...client.responseTypes],
    tokenEndpointAuthMethod: client.tokenEndpointAuthMethod,
    scope: [...client.scope],
    defaultScope: [...client.defaultScope],
    requiredScope: [...client.requiredScope],
    applicationType: client.applicationType,
    jwks: (client.jwks as Prisma.InputJsonValue | undefined) ?? Prisma.DbNull,
    jwksUri: client.jwksUri ?? null,
    requirePkce: client.requirePkce,
    firstParty: client.firstParty,
    allowedOrigins: [...client.allowedOrigins],
    allowedResources: [...client.allowedResources],
    allowedNetworks: [...client.allowedNetworks],
    accessTokenLifetime: client.accessTokenLifetime ?? null,
    refreshTokenIdleLifetime: client.refreshTokenIdleLifetime ?? null,
    refreshTokenLifetime: client.refreshTokenLifetime ?? null,
    refreshTokenRotation: client.refreshTokenRotation,
    refreshTokenRetryWindow: client.refreshTokenRetryWindow,
    softwareId: client.softwareId ?? null,
    softwareVersion: client.softwareVersion ?? null,
    rateTier: client.rateTier ?? null,
    subjectType: client.subjectType ?? null,
    sectorIdentifierUri: client.sectorIdentifierUri ?? null,
    idTokenSignedResponseAlg: client.idTokenSignedResponseAlg ?? null,
    userinfoSignedResponseAlg: client.userinfoSignedResponseAlg ?? null,
    requestObjectSigningAlg: client.requestObjectSigningAlg ?? null,
    requestUris: [...client.requestUris],
    tokenEndpointAuthSigningAlg: client.tokenEndpointAuthSigningAlg ?? null,
    clientAssertionAudience: client.clientAssertionAudience ?? null,
    defaultMaxAge: client.defaultMaxAge ?? null,
    requireAuthTime: client.requireAuthTime ?? null,
    defaultAcrValues: [...client.defaultAcrValues],
    initiateLoginUri: client.initiateLoginUri ?? null,
    postLogoutRedirectUris: [...client.postLogoutRedirectUris],
    backchannelLogoutUri: client.backchannelLogoutUri ?? null,
    backchannelLogoutSessionRequired: client.backchannelLogoutSessionRequired ?? null,
    selfRegistered: client.selfRegistered ?? null,
    registrationAccessHash: client.registrationAccessHash ? new Uint8Array(client.registrationAccessHash) : null,
    unusedUntil: client.unusedUntil ?? null,
    documentHash: client.documentHash ? new Uint8Array(client.documentHash) : null,
    documentFetchedAt: client.documentFetchedAt ?? null,
    documentFreshUntil: client.documentFreshUntil ?? null,
    notBefore: client.notBefore ?? null,
    disabledAt: client.disabledAt ?? null,
    lastUsedAt: client.lastUsedAt ?? null,
    createdAt: client.createdAt,
    updatedAt: client.updatedAt,
  }
}

export * from './client-secrets.js'
