import type { BatchedStatement, Database } from './database.js'
import type { NewAccessToken } from './tokens.js'

const insertAll: BatchedStatement<NewAccessToken, undefined> = {
  name: 'access_tokens.add',
  text: `INSERT INTO access_token (bucket, token_hash, claims, expires_at)
         SELECT * FROM unnest($1::int[], $2::bytea[], $3::jsonb[], $4::timestamptz[])`,
  parameters: (items) => [
    items.map(({ bucket }) => bucket),
    items.map(({ hash }) => hash),
    items.map(({ claims }) => JSON.stringify(claims)),
    items.map(({ expiresAt }) => expiresAt),
  ],
  results: (items) => items.map(() => undefined),
}

/** Writes an opaque token that no other statement writes: one batched insert. */
export async function create(database: Database, token: NewAccessToken): Promise<void> {
  await database.run(insertAll, token)
}

interface Key {
  readonly bucket: number
  readonly hash: Buffer
}

const findAll: BatchedStatement<Key, Readonly<Record<string, unknown>> | undefined> = {
  name: 'access_tokens.find',
  // Nothing is committed, so nothing is waited for: what comes meanwhile makes the next batch larger.
  inFlight: 1,
  text: `SELECT i.n, t.claims FROM unnest($1::int[], $2::bytea[]) WITH ORDINALITY AS i (bucket, hash, n)
           JOIN access_token t ON t.bucket = i.bucket AND t.token_hash = i.hash`,
  parameters: (keys) => [keys.map(({ bucket }) => bucket), keys.map(({ hash }) => hash)],
  results: (keys, rows) => {
    const found: (Readonly<Record<string, unknown>> | undefined)[] = keys.map(() => undefined)
    for (const row of rows) found[Number(row['n']) - 1] = row['claims']
    return found
  },
}

/** The claims of an opaque token; whether it has expired or ended is not asked here. */
export function find(
  database: Database,
  bucket: number,
  hash: Buffer,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  return database.run(findAll, { bucket, hash })
}
