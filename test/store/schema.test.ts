import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { openDatabase, partitions } from '../../src/store/index.js'
import { createTestDatabase } from '../support/database.js'
import { withClient } from '../support/test-postgres.js'

// Prisma cannot say all that stands in the migrations (partitions, sequences), and the migrations are applied without
// Prisma. So that the two cannot drift apart, the schema is read here as text and compared with PostgreSQL's catalogue.

interface Column {
  readonly name: string
  readonly type: string
  readonly nullable: boolean
  readonly hasDefault: boolean
}

interface Index {
  readonly columns: readonly string[]
  readonly kind: 'primary' | 'unique' | 'index'
  /** btree, gin */
  readonly method: string
}

interface ForeignKey {
  readonly columns: readonly string[]
  readonly references: string
  readonly onDelete: string
}

interface Table {
  readonly name: string
  readonly columns: readonly Column[]
  readonly indexes: readonly Index[]
  readonly foreignKeys: readonly ForeignKey[]
  /** What the comment on the model says. */
  readonly partitioned: boolean
}

const folder = new URL('../../prisma/schema/', import.meta.url)

/** What PostgreSQL calls the types of the schema. */
const types: Readonly<Record<string, string>> = {
  String: 'text',
  'String @db.Uuid': 'uuid',
  Int: 'integer',
  BigInt: 'bigint',
  Boolean: 'boolean',
  Bytes: 'bytea',
  Json: 'jsonb',
  'DateTime @db.Timestamptz(3)': 'timestamp(3) with time zone',
}

/** The tables that the schema describes, by name. */
function readSchema(): readonly Table[] {
  const text = readdirSync(folder)
    .filter((name) => name.endsWith('.prisma'))
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('\n')
  const blocks = [...text.matchAll(/((?:^\/\/\/.*\n)*)^model (\w+) \{\n([\s\S]*?)^\}/gm)]
  const tableOf = new Map(
    blocks.map(([, , model = '', body = '']) => [model, /@@map\("(\w+)"\)/.exec(body)?.[1] ?? model]),
  )
  return blocks
    .map(([, comment = '', model = '', body = '']) => readModel(tableOf, comment, model, body))
    .sort((a, b) => a.name.localeCompare(b.name))
}

function readModel(tableOf: ReadonlyMap<string, string>, comment: string, model: string, body: string): Table {
  const columnOf = new Map<string, string>()
  const columns: Column[] = []
  const indexes: Index[] = []
  const relations: string[] = []
  const lines = body
    .split('\n')
    .map((line) => line.replace(/\/\/.*$/, '').trim())
    .filter((line) => line !== '')
  for (const line of lines) {
    const [, field = '', type = '', list, optional, attributes = ''] =
      /^(\w+)\s+(\w+)(\[\])?(\?)?\s*(.*)$/.exec(line) ?? []
    if (line.startsWith('@@') || field === '') continue
    if (tableOf.has(type)) {
      relations.push(line)
      continue
    }
    const name = /@map\("(\w+)"\)/.exec(attributes)?.[1] ?? field
    const native = /@db\.\w+(?:\(\d+\))?/.exec(attributes)?.[0]
    const key = native ? `${type} ${native}` : type
    columnOf.set(field, name)
    // Prisma writes a list without NOT NULL, and reads NULL as an empty one.
    columns.push({
      name,
      type: `${types[key] ?? key}${list ?? ''}`,
      nullable: (optional ?? list) !== undefined,
      hasDefault: /@default|@updatedAt/.test(attributes),
    })
    if (/@id\b/.test(attributes)) indexes.push({ columns: [name], kind: 'primary', method: 'btree' })
    if (/@unique\b/.test(attributes)) indexes.push({ columns: [name], kind: 'unique', method: 'btree' })
  }
  const named = (fields: string): readonly string[] =>
    fields.split(',').map((field) => columnOf.get(field.trim()) ?? field)
  const kinds = { id: 'primary', unique: 'unique', index: 'index' } as const
  for (const [, kind, fields = '', rest = ''] of body.matchAll(/^\s*@@(id|unique|index)\(\[([^\]]+)\]([^)]*)\)/gm)) {
    const [, method = 'btree'] = /type: (\w+)/.exec(rest) ?? []
    const columnNames = named(fields)
    indexes.push({ columns: columnNames, kind: kinds[kind as keyof typeof kinds], method: method.toLowerCase() })
  }
  const foreignKeys = relations.flatMap((line) => {
    const [, type = ''] = /^\w+\s+(\w+)/.exec(line) ?? []
    const [, fields] = /fields: \[([^\]]+)\]/.exec(line) ?? []
    const [, onDelete = 'Restrict'] = /onDelete: (\w+)/.exec(line) ?? []
    return fields ? [{ columns: named(fields), references: tableOf.get(type) ?? type, onDelete }] : []
  })
  return {
    name: tableOf.get(model) ?? model,
    columns: columns.sort(byName),
    indexes: sortIndexes(indexes),
    foreignKeys,
    partitioned: /Partitioned by `bucket`/.test(comment),
  }
}

/** The same of the database itself, without the partitions. */
async function readDatabase(url: string): Promise<readonly Table[]> {
  return withClient(url, async (client) => {
    const tables = await client.query<{ oid: number; name: string; kind: string }>(
      `SELECT oid, relname AS name, relkind AS kind FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
          AND relname <> '_prisma_migrations' ORDER BY relname`,
    )
    const found: Table[] = []
    for (const { oid, name, kind } of tables.rows) {
      const columns = await client.query<Column>(
        `SELECT attname AS name, format_type(atttypid, atttypmod) AS type, NOT attnotnull AS nullable, atthasdef AS "hasDefault"
           FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped`,
        [oid],
      )
      const indexes = await client.query<Index>(
        `SELECT CASE WHEN i.indisprimary THEN 'primary' WHEN i.indisunique THEN 'unique' ELSE 'index' END AS kind,
                array(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, n)
                        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.n) AS columns,
                m.amname AS method
           FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam WHERE i.indrelid = $1 AND i.indisvalid`,
        [oid],
      )
      const foreignKeys = await client.query<ForeignKey>(
        `SELECT array(SELECT a.attname::text FROM unnest(conkey) AS k JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = k)
                  AS columns,
                confrelid::regclass::text AS references,
                CASE confdeltype WHEN 'c' THEN 'Cascade' WHEN 'r' THEN 'Restrict' ELSE confdeltype::text END AS "onDelete"
           FROM pg_constraint WHERE conrelid = $1 AND contype = 'f' ORDER BY conname`,
        [oid],
      )
      found.push({
        name,
        columns: columns.rows.sort(byName),
        indexes: sortIndexes(indexes.rows),
        foreignKeys: foreignKeys.rows,
        partitioned: kind === 'p',
      })
    }
    return found.sort((a, b) => a.name.localeCompare(b.name))
  })
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name.localeCompare(b.name)
}

function sortIndexes(indexes: readonly Index[]): readonly Index[] {
  const text = ({ kind, columns }: Index): string => `${kind} ${columns.join(' ')}`
  return [...indexes].sort((a, b) => text(a).localeCompare(text(b)))
}

/** What a process of the release before does not know of. */
const givenByDefault = ['api_key.position', 'resource.accepts_basic']

t.test('the schema and the migrated database are the same tables', async (t) => {
  const schema = readSchema()
  const database = await readDatabase((await createTestDatabase(t)).url)
  t.ok(schema.length > 10, 'the schema was read')
  t.same(
    database.map(({ name }) => name),
    schema.map(({ name }) => name),
  )
  for (const table of schema) {
    const migrated = database.find(({ name }) => name === table.name)
    t.same(migrated?.columns, table.columns, `${table.name}: columns, types and what may be missing`)
    t.same(migrated?.indexes, table.indexes, `${table.name}: primary key, unique columns and indexes`)
    t.same(migrated?.foreignKeys, table.foreignKeys, `${table.name}: foreign keys`)
    t.equal(migrated?.partitioned, table.partitioned, `${table.name}: partitioned as its comment says`)
    t.same(
      table.columns.flatMap(({ name, hasDefault }) => (hasDefault ? [`${table.name}.${name}`] : [])),
      givenByDefault.filter((column) => column.startsWith(`${table.name}.`)),
      `${table.name}: time and ids come from outside the database`,
    )
  }
})

t.test('what expires is partitioned by its bucket, and a DEFAULT partition catches what falls outside', async (t) => {
  const { url } = await createTestDatabase(t)
  const partitioned = readSchema().filter((table) => table.partitioned)
  t.same(
    partitions.partitionedTables.map(({ table }) => table).sort(),
    partitioned.map(({ name }) => name).sort(),
    'the store, which makes and drops the partitions, knows the same tables',
  )
  for (const table of readSchema()) {
    const hasBucket = table.columns.some(({ name }) => name === 'bucket')
    t.equal(table.partitioned, hasBucket, `${table.name} has a bucket where it is partitioned`)
    if (!table.partitioned) continue
    t.equal(table.indexes.find(({ kind }) => kind === 'primary')?.columns[0], 'bucket', `${table.name} is found by it`)
    t.same(table.foreignKeys, [], `${table.name} is written without looking anything up`)
  }
  await withClient(url, async (client) => {
    const { rows } = await client.query<{ name: string; key: string; fallback: string | null }>(
      `SELECT partrelid::regclass::text AS name, pg_get_partkeydef(partrelid) AS key,
              nullif(partdefid, 0)::regclass::text AS fallback FROM pg_partitioned_table ORDER BY 1`,
    )
    t.same(
      rows,
      partitioned.map(({ name }) => ({ name, key: 'RANGE (bucket)', fallback: `${name}_default` })),
    )
  })
})

t.test('a partition that the server makes has all that its table has', async (t) => {
  const { url } = await createTestDatabase(t)
  const database = openDatabase({ url, poolSize: 2 })
  t.teardown(() => database.close())
  const horizon = { grantLifetime: 86_400, sessionLifetime: 86_400, auditRetentionDays: 1 }
  const created = await partitions.ensurePartitions(database.pool, horizon, new Date('2026-03-01T12:00:00Z'))
  t.ok(created.length >= partitions.partitionedTables.length)

  await withClient(url, async (client) => {
    const { rows } = await client.query<{ table: string; partition: string; missing: string }>(
      `SELECT h.inhparent::regclass::text AS table, h.inhrelid::regclass::text AS partition, x.indexrelid::regclass::text AS missing
         FROM pg_inherits h JOIN pg_index x ON x.indrelid = h.inhparent
        WHERE NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_index o ON o.indexrelid = i.inhrelid
                           WHERE i.inhparent = x.indexrelid AND o.indrelid = h.inhrelid)`,
    )
    t.same(rows, [], 'no index is missing on any partition')
  })
})
