import type { BatchedStatement, Database, Db } from './database.js'
import type { Prisma } from './prisma/client.js'
import { seconds, toTime, toTimeIfAny } from './rows.js'

/** By the names of OIDC Core §5.1. */
export type UserProfile = Readonly<Record<string, unknown>>

/** A person who can sign in. */
export interface User {
  /** The `sub`. */
  readonly id: string
  /** Normalised. */
  readonly email: string
  readonly name?: string | undefined
  readonly admin: boolean
  /** Standard claims besides `name` and `email`. OIDC Core §5.1 */
  readonly profile?: UserProfile | undefined
  readonly emailVerifiedAt?: Date | undefined
  /** In CIDR notation. Empty: from anywhere. */
  readonly allowedNetworks: readonly string[]
  readonly notBefore?: Date | undefined
  readonly disabledAt?: Date | undefined
  readonly createdAt: Date
  readonly updatedAt: Date
}

export interface UserWithPassword extends User {
  /** argon2id; undefined: cannot sign in by password. */
  readonly passwordHash?: string | undefined
}

const select = {
  id: true,
  email: true,
  name: true,
  admin: true,
  profile: true,
  emailVerifiedAt: true,
  allowedNetworks: true,
  notBefore: true,
  disabledAt: true,
  createdAt: true,
  updatedAt: true,
} as const

interface UserRow {
  id: string
  email: string
  name: string | null
  admin: boolean
  profile: unknown
  emailVerifiedAt: Date | null
  allowedNetworks: string[] | null
  notBefore: Date | null
  disabledAt: Date | null
  createdAt: Date
  updatedAt: Date
}

/** @returns false when the address is taken */
export async function create(db: Db, user: UserWithPassword): Promise<boolean> {
  const count = await db.prisma.$executeRaw`
    INSERT INTO user_account (id, email, name, password_hash, password_changed_at, admin, allowed_networks, profile,
                              email_verified_at, created_at, updated_at)
    VALUES (${user.id}::uuid, ${user.email}, ${user.name ?? null}, ${user.passwordHash ?? null},
            ${user.passwordHash ? user.createdAt : null}, ${user.admin}, ${[...user.allowedNetworks]},
            ${user.profile ? JSON.stringify(user.profile) : null}::jsonb, ${user.emailVerifiedAt ?? null}, ${user.createdAt},
            ${user.updatedAt})
        ON CONFLICT (email) DO NOTHING`
  return count === 1
}

/** By the normalised address, for a login: one read by key. */
export async function findForLogin(database: Database, email: string): Promise<UserWithPassword | undefined> {
  const [row] = await database.query(
    'users.find_for_login',
    `SELECT id, email, name, admin, allowed_networks AS "allowedNetworks", profile, email_verified_at AS "emailVerifiedAt",
            not_before AS "notBefore", disabled_at AS "disabledAt", created_at AS "createdAt",
            updated_at AS "updatedAt", password_hash AS "passwordHash" FROM user_account WHERE email = $1`,
    [email],
  )
  return row ? { ...toUser(row as UserRow), passwordHash: row['passwordHash'] ?? undefined } : undefined
}

/** What UserInfo tells. */
export type ToldUser = Pick<User, 'id' | 'email' | 'name' | 'profile' | 'emailVerifiedAt' | 'updatedAt' | 'disabledAt'>

const tellAll: BatchedStatement<string, ToldUser | undefined> = {
  name: 'users.tell',
  text: `
    SELECT i.n, u.id, u.email, u.name, u.profile, ${seconds('u.email_verified_at')} AS email_verified_at,
           ${seconds('u.updated_at')} AS updated_at, ${seconds('u.disabled_at')} AS disabled_at
      FROM unnest($1::uuid[]) WITH ORDINALITY AS i (id, n) JOIN user_account u ON u.id = i.id`,
  parameters: (ids) => [ids],
  results: (ids, rows) => {
    const found: (ToldUser | undefined)[] = ids.map(() => undefined)
    for (const row of rows) {
      found[Number(row['n']) - 1] = {
        id: row['id'],
        email: row['email'],
        name: row['name'] ?? undefined,
        profile: row['profile'] ?? undefined,
        emailVerifiedAt: toTimeIfAny(row['email_verified_at']),
        updatedAt: toTime(row['updated_at']),
        disabledAt: toTimeIfAny(row['disabled_at']),
      }
    }
    return found
  },
}

/** @returns undefined when there is no such user */
export function tell(database: Database, id: string): Promise<ToldUser | undefined> {
  return database.run(tellAll, id)
}

export async function findByEmail(db: Db, email: string): Promise<User | undefined> {
  const row = await db.prisma.user.findUnique({ where: { email }, select })
  return row ? toUser(row) : undefined
}

export async function findById(db: Db, id: string): Promise<User | undefined> {
  const row = await db.prisma.user.findUnique({ where: { id }, select })
  return row ? toUser(row) : undefined
}

/** Holds the row to the end of the transaction, so that of two changes the second sees the first. */
export async function findForUpdate(db: Db, id: string): Promise<User | undefined> {
  await db.prisma.$executeRaw`SELECT 1 FROM user_account WHERE id = ${id}::uuid FOR UPDATE`
  return findById(db, id)
}

export async function list(db: Db): Promise<readonly User[]> {
  return (await db.prisma.user.findMany({ select, orderBy: [{ createdAt: 'asc' }, { id: 'asc' }] })).map(toUser)
}

export type UserUpdate = Partial<Pick<User, 'name' | 'allowedNetworks' | 'profile'>> & {
  /** null: it is not verified. */
  readonly emailVerifiedAt?: Date | null | undefined
}

/** Changes what is given. The caller holds the user's row. */
export async function update(db: Db, id: string, changed: UserUpdate, now: Date): Promise<void> {
  const { name, allowedNetworks, profile, emailVerifiedAt } = changed
  const data = {
    name,
    allowedNetworks: allowedNetworks && [...allowedNetworks],
    profile: profile as Prisma.InputJsonValue | undefined,
    emailVerifiedAt,
    updatedAt: now,
  }
  await db.prisma.user.update({ where: { id }, data, select: { id: true } })
}

export async function setPassword(db: Db, id: string, passwordHash: string, now: Date): Promise<void> {
  await db.prisma.user.update({
    where: { id },
    data: { passwordHash, passwordChangedAt: now, updatedAt: now },
    select: { id: true },
  })
}

/** Keeps the same password under today's parameters: after a login. */
export async function rehashPassword(database: Database, id: string, from: string, to: string): Promise<void> {
  await database.query(
    'users.rehash_password',
    'UPDATE user_account SET password_hash = $3 WHERE id = $1 AND password_hash = $2',
    [id, from, to],
  )
}

/** Lets a disabled user sign in again; what was issued before stays ended. */
export async function enable(db: Db, id: string, now: Date): Promise<void> {
  await db.prisma.$executeRaw`
    UPDATE user_account
       SET disabled_at = NULL, updated_at = ${now},
           not_before = CASE WHEN not_before > ${now}::timestamptz + interval '2 seconds' THEN not_before ELSE ${now} END
     WHERE id = ${id}::uuid`
}

function toUser(row: UserRow): User {
  return {
    id: row.id,
    email: row.email,
    name: row.name ?? undefined,
    admin: row.admin,
    profile: (row.profile as UserProfile | null) ?? undefined,
    emailVerifiedAt: row.emailVerifiedAt ?? undefined,
    allowedNetworks: row.allowedNetworks ?? [],
    notBefore: row.notBefore ?? undefined,
    disabledAt: row.disabledAt ?? undefined,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  }
}
