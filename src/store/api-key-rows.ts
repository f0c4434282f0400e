import { type ApiKeyEnd, endedBy } from './api-key-ends.js'
import type { Row } from './database.js'
import { type ApiKey as ApiKeyRow, Prisma } from './prisma/client.js'
import { toTime, toTimeIfAny } from './rows.js'

export type ApiKeyKind = 'secret' | 'publishable' | 'signing'

/** Whose key it is. */
export interface ApiKeyOwner {
  readonly kind: 'user' | 'client'
  /** A `sub` or a `client_id`. */
  readonly id: string
}

/** A key as it is kept. */
export interface ApiKey {
  readonly id: string
  readonly prefix: string
  readonly environment: string
  readonly kind: ApiKeyKind
  readonly owner: ApiKeyOwner
  readonly name: string
  readonly description?: string | undefined
  readonly scope: readonly string[]
  /** Identifiers. */
  readonly resources: readonly string[]
  /** In CIDR notation; empty: it may be used from anywhere. */
  readonly networks: readonly string[]
  readonly origins: readonly string[]
  readonly tier?: string | undefined
  /** The id of the first key of the chain of rotations that it stands in; undefined: its own. */
  readonly chain?: string | undefined
  /** An administrator made it, or said what it may do: its owner makes it narrower, and never wider. */
  readonly managed?: boolean | undefined
  /** The `client_id` by whose token it was made; undefined where none took part. */
  readonly createdByClient?: string | undefined
  /** Of a signing key. */
  readonly publicJwk?: Readonly<Record<string, unknown>> | undefined
  readonly createdAt: Date
  readonly updatedAt: Date
  /** Undefined: never. */
  readonly expiresAt?: Date | undefined
  /** It has a successor since then, and lives on until `expiresAt`. */
  readonly rotatedAt?: Date | undefined
  readonly successor?: string | undefined
  readonly endedAt?: Date | undefined
  readonly endReason?: string | undefined
  /** It stood in an address, or was found elsewhere: whoever reads there has it. */
  readonly exposedAt?: Date | undefined
  readonly lastUsedAt?: Date | undefined
  /** The network, a /24 or /64. */
  readonly lastUsedFrom?: string | undefined
}

/** Of the secret: a keyed hash, and the key that it was made by. */
export interface ApiKeyHash {
  readonly hash: Buffer
  readonly keyId: string
}

export interface NewApiKey extends ApiKey {
  /** A signing key has none. */
  readonly secret?: ApiKeyHash | undefined
}

/** What is asked about a key whenever it is used. */
export interface PresentedApiKey {
  readonly key: ApiKey
  readonly secret?: ApiKeyHash | undefined
  /** The owner exists, is not disabled, and nothing of theirs was ended since the key was made. */
  readonly ownerStands: boolean
  /** From where the owner may come now, in CIDR notation; empty: from anywhere. */
  readonly ownerNetworks: readonly string[]
  /** What a client is registered for now; undefined for a user, whom roles bound. */
  readonly registration?: OwnerRegistration | undefined
}

export interface OwnerRegistration {
  readonly scope: readonly string[]
  /** Empty: any will do. */
  readonly resources: readonly string[]
  /** Of all that the client does. */
  readonly tier?: string | undefined
}

export function toPrisma({ owner, secret, publicJwk, ...key }: NewApiKey): Prisma.ApiKeyCreateManyInput {
  return {
    ...key,
    ownerKind: owner.kind,
    owner: owner.id,
    scope: [...key.scope],
    resources: [...key.resources],
    networks: [...key.networks],
    origins: [...key.origins],
    hash: secret ? new Uint8Array(secret.hash) : null,
    keyId: secret?.keyId ?? null,
    publicJwk: (publicJwk as Prisma.InputJsonValue | undefined) ?? Prisma.DbNull,
  }
}

/** @param ends those that some rows do not say yet */
export function fromPrisma(key: ApiKeyRow, ends: readonly ApiKeyEnd[] = []): ApiKey {
  const { ownerKind, owner, hash: _, keyId: __, position: ___, endId: ____, awaitsSuccessor: _____, ...row } = key
  const end = row.endedAt ? undefined : endedBy(key, ends)
  return {
    ...row,
    kind: row.kind as ApiKeyKind,
    owner: { kind: ownerKind === 'user' ? 'user' : 'client', id: owner },
    description: row.description ?? undefined,
    tier: row.tier ?? undefined,
    chain: row.chain ?? undefined,
    managed: row.managed ?? undefined,
    createdByClient: row.createdByClient ?? undefined,
    publicJwk: (row.publicJwk as ApiKey['publicJwk'] | null) ?? undefined,
    expiresAt: row.expiresAt ?? undefined,
    rotatedAt: row.rotatedAt ?? undefined,
    successor: row.successor ?? undefined,
    endedAt: row.endedAt ?? end?.endedAt,
    endReason: row.endReason ?? end?.reason,
    exposedAt: row.exposedAt ?? undefined,
    lastUsedAt: row.lastUsedAt ?? undefined,
    lastUsedFrom: row.lastUsedFrom ?? undefined,
  }
}

/** What a hand-written statement gives: a row as JSON, with its hash in hex. */
export function fromDocument(row: Row): PresentedApiKey {
  const key: ApiKey = {
    id: row['id'],
    prefix: row['prefix'],
    environment: row['environment'],
    kind: row['kind'],
    owner: { kind: row['owner_kind'], id: row['owner'] },
    name: row['name'],
    description: row['description'] ?? undefined,
    scope: row['scope'],
    resources: row['resources'],
    networks: row['networks'],
    origins: row['origins'],
    tier: row['tier'] ?? undefined,
    chain: row['chain'] ?? undefined,
    managed: row['managed'] ?? undefined,
    createdByClient: row['created_by_client'] ?? undefined,
    publicJwk: row['public_jwk'] ?? undefined,
    createdAt: toTime(row['created_at']),
    updatedAt: toTime(row['updated_at']),
    expiresAt: toTimeIfAny(row['expires_at']),
    rotatedAt: toTimeIfAny(row['rotated_at']),
    successor: row['successor'] ?? undefined,
    endedAt: toTimeIfAny(row['ended_at']),
    endReason: row['end_reason'] ?? undefined,
    exposedAt: toTimeIfAny(row['exposed_at']),
    lastUsedAt: toTimeIfAny(row['last_used_at']),
    lastUsedFrom: row['last_used_from'] ?? undefined,
  }
  const secret = row['hash'] === null ? undefined : { hash: Buffer.from(row['hash'], 'hex'), keyId: row['key_id'] }
  const scope = row['owner_scope']
  const registration =
    scope === null ? undefined : { scope, resources: row['owner_resources'], tier: row['owner_tier'] ?? undefined }
  const ownerNetworks = row['owner_networks'] ?? []
  return { key, secret, ownerStands: row['owner_stands'] === true, ownerNetworks, registration }
}
