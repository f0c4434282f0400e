import type { BatchedStatement, Database } from './database.js'

/** An assertion that proved its client. */
export interface UsedAssertion {
  /** The day of its `exp` and, where another of the same `jti` may live that ends on the day behind, that one too. */
  readonly buckets: readonly number[]
  /** Of its client and `jti`. */
  readonly hash: Buffer
}

/**
 * In the order of the key: of two batches that name the same, one waits for the other, and never both. Whoever's row was there
 * already is left out of what comes back; within one batch the first has it. An assertion is spent by whoever wrote all its rows.
 */
const spendAll: BatchedStatement<UsedAssertion, boolean> = {
  name: 'client_assertions.spend',
  text: `INSERT INTO client_assertion (bucket, jti_hash)
         SELECT bucket, jti_hash FROM unnest($1::int[], $2::bytea[]) AS i (bucket, jti_hash) ORDER BY bucket, jti_hash
             ON CONFLICT DO NOTHING
         RETURNING bucket, jti_hash`,
  parameters: (items) => [
    items.flatMap(({ buckets }) => buckets),
    items.flatMap(({ buckets, hash }) => buckets.map(() => hash)),
  ],
  results: (items, rows) => {
    const idOf = (bucket: number, hash: Buffer): string => `${bucket}:${hash.toString('hex')}`
    const written = new Set(rows.map((row) => idOf(row['bucket'], row['jti_hash'])))
    return items.map(({ buckets, hash }) => {
      const taken = buckets.filter((bucket) => written.delete(idOf(bucket, hash)))
      return taken.length === buckets.length
    })
  },
}

/**
 * Marks the assertion used. Of concurrent callers, in whatever process, exactly one gets true. RFC 7523 §3, 7.
 *
 * @returns false when it was used before
 */
export function spend(database: Database, assertion: UsedAssertion): Promise<boolean> {
  return database.run(spendAll, assertion)
}
