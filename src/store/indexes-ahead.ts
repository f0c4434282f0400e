import type pg from 'pg'

/** An index of a whole table, as our migrations write it. */
const created = /^CREATE INDEX "\w+" ON "(\w+)" ?\(([^()]+)\);$/gm

/**
 * Builds what a migration is about to create as an index of a partitioned table: partition by partition, CONCURRENTLY, so that
 * nobody waits who reads or writes there. The migration finds these and only attaches them. An index that is built inside its
 * transaction lets nobody write to any partition until all of them are done, and PostgreSQL has no CONCURRENTLY for the whole.
 *
 * Not inside a transaction. Broken off it is begun again: what was built stays, and what is half built is dropped.
 */
export async function buildIndexesAhead(client: pg.ClientBase, sql: string): Promise<void> {
  for (const [, table = '', list = ''] of sql.matchAll(created)) {
    const columns = list.split(',').map((column) => column.trim().replaceAll('"', ''))
    for (const { partition, halfBuilt } of await withoutIndex(client, table, columns)) {
      for (const index of halfBuilt) await client.query(`DROP INDEX CONCURRENTLY IF EXISTS ${index}`)
      await client.query(`CREATE INDEX CONCURRENTLY ON ${partition} (${list})`)
    }
  }
}

interface Unindexed {
  /** Both as they stand in a statement. */
  readonly partition: string
  readonly halfBuilt: readonly string[]
}

/** Whether the index `i` is what the migration creates, so that PostgreSQL attaches it: as `CompareIndexInfo` has it. */
const isSame = `
  NOT i.indisunique AND right(pg_get_indexdef(i.indexrelid), length(wanted.suffix)) = wanted.suffix`

/**
 * The partitions of the table that have rows and no such index. None where the table is not partitioned, or where it or a column
 * is made by the same migration.
 */
async function withoutIndex(
  client: pg.ClientBase,
  table: string,
  columns: readonly string[],
): Promise<readonly Unindexed[]> {
  const { rows } = await client.query<Unindexed>(
    `SELECT p.oid::regclass::text AS partition,
            ARRAY(SELECT i.indexrelid::regclass::text FROM pg_index i
                   WHERE i.indrelid = p.oid AND NOT i.indisvalid AND ${isSame}) AS "halfBuilt"
       FROM (SELECT ' USING btree (' || string_agg(quote_ident(name), ', ' ORDER BY n) || ')' AS suffix
               FROM unnest($2::text[]) WITH ORDINALITY AS u (name, n)) wanted
      CROSS JOIN pg_class t
       JOIN pg_inherits h ON h.inhparent = t.oid
       JOIN pg_class p ON p.oid = h.inhrelid AND p.relkind = 'r'
      WHERE t.relname = $1 AND t.relnamespace = current_schema()::regnamespace AND t.relkind = 'p'
        AND pg_relation_size(p.oid) > 0
        AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = p.oid AND a.attname = ANY ($2::text[]) AND NOT a.attisdropped)
            = cardinality($2::text[])
        AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = p.oid AND i.indisvalid AND ${isSame})
      ORDER BY p.relname`,
    [table, columns],
  )
  return rows
}
