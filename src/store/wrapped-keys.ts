import { notify } from './changes.js'
import type { Db, Row } from './database.js'
import * as secretKeys from './secret-keys.js'
import * as signingKeys from './signing-keys.js'

/** Whatever is wrapped by a master key, whichever table it lies in. */
export interface WrappedKey {
  readonly kind: 'secret key' | 'signing key'
  readonly id: string
  readonly wrapped: Buffer
  readonly masterKeyId: string
}

interface WrappedColumn {
  readonly table: string
  readonly kind: WrappedKey['kind']
  readonly id: string
  readonly column: string
}

/** Every column that a master key wraps; `master_key_id` stands beside each. */
export const wrappedColumns: readonly WrappedColumn[] = [
  { table: 'secret_key', kind: 'secret key', id: 'id', column: 'wrapped' },
  { table: 'signing_key', kind: 'signing key', id: 'kid', column: 'private_key' },
]

const selectAll = wrappedColumns
  .map(
    ({ table, kind, id, column }) =>
      `SELECT '${kind}' AS kind, ${id} AS id, ${column} AS wrapped, master_key_id FROM ${table}`,
  )
  .join(' UNION ALL ')

/** A connection or an open transaction: rows of a statement. */
export type Statements = (text: string, values: readonly unknown[]) => Promise<readonly Row[]>

/** All of them, signing keys that have left the JWKS too. */
export async function listBy(query: Statements): Promise<readonly WrappedKey[]> {
  const rows = await query(selectAll, [])
  return rows.map((row) => ({
    kind: row['kind'],
    id: row['id'],
    wrapped: Buffer.from(row['wrapped']),
    masterKeyId: row['master_key_id'],
  }))
}

export async function replaceBy(query: Statements, keys: readonly WrappedKey[]): Promise<void> {
  for (const key of keys) {
    const { table, id, column } = wrappedColumns.find(({ kind }) => kind === key.kind)!
    const text = `UPDATE ${table} SET ${column} = decode($2, 'hex'), master_key_id = $3 WHERE ${id} = $1`
    await query(text, [key.id, key.wrapped.toString('hex'), key.masterKeyId])
  }
}

/** Keeps whoever creates keys waiting to the end of the transaction. */
export async function lock(db: Db): Promise<void> {
  await secretKeys.lock(db)
  await signingKeys.lock(db)
}

export function list(db: Db): Promise<readonly WrappedKey[]> {
  return listBy(statementsOf(db))
}

/** The same keys, wrapped anew. */
export async function replace(db: Db, keys: readonly WrappedKey[]): Promise<void> {
  await replaceBy(statementsOf(db), keys)
  await notify(db, { kind: 'keys' })
}

const statementsOf =
  ({ prisma }: Db): Statements =>
  (text, values) =>
    prisma.$queryRawUnsafe(text, ...values)
