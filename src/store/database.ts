import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { createBatch, DeadlineError } from '../platform/batch.js'
import { type Prisma, PrismaClient } from './prisma/client.js'

/** A pool or an open transaction: what everyday reads and writes take first. */
export interface Db {
  readonly prisma: Prisma.TransactionClient
}

/** A hot statement: one text for all items that arrive in one turn of the event loop. */
export interface BatchedStatement<Item, Result> {
  readonly name: string
  readonly text: string
  readonly parameters: (items: readonly Item[]) => unknown[]
  /** One result for each item, in their order. */
  readonly results: (items: readonly Item[], rows: readonly Row[]) => readonly Result[]
  /** The most items of one statement. Default 256. */
  readonly size?: number
}

// biome-ignore lint/suspicious/noExplicitAny: a row has the shape that its statement's text says; each statement has a test
export type Row = Record<string, any>

export interface Database extends Db {
  readonly prisma: PrismaClient
  readonly pool: pg.Pool
  /** Runs the item with all others of this turn. @throws what the statement throws, or DeadlineError */
  run<Item, Result>(statement: BatchedStatement<Item, Result>, item: Item): Promise<Result>
  /** One named prepared statement. */
  query(name: string, text: string, parameters: readonly unknown[]): Promise<readonly Row[]>
  transaction<Result>(work: (db: Db) => Promise<Result>): Promise<Result>
  close(): Promise<void>
}

export interface DatabaseOptions {
  readonly url: string
  readonly poolSize: number
  /** Called with errors of idle connections; the pool replaces them. */
  readonly onError?: (error: Error) => void
}

/** Milliseconds. A caller gets 503 past the deadline; a statement is ended by the server a little earlier. */
const deadline = 5_000
const limits = 'SET lock_timeout = 2000; SET statement_timeout = 4500; SET idle_in_transaction_session_timeout = 10000'

/**
 * Everything here is looked up by key. A plan that was made while a table was small must not scan it once it has grown,
 * and a batch joins an array of unknown length with a large table: so only plans that follow an index are wanted.
 */
const plans =
  'SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; SET jit = off'

/** One pool for Prisma and for the hot statements. Nothing is connected before the first statement. */
export function openDatabase(options: DatabaseOptions): Database {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize,
    connectionTimeoutMillis: 3_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    application_name: 'ostiary',
  })
  pool.on('error', (error) => options.onError?.(error))
  pool.on('connect', (client) => {
    // Not by startup options: a connection pooler in front of PostgreSQL refuses those.
    client.query(`${limits}; ${plans}`).catch((error) => options.onError?.(error))
  })
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { disposeExternalPool: false }) })
  const batches = new Map<string, (item: unknown) => Promise<unknown>>()

  const database: Database = {
    prisma,
    pool,

    run<Item, Result>(statement: BatchedStatement<Item, Result>, item: Item): Promise<Result> {
      let batch = batches.get(statement.name)
      if (!batch) {
        batch = createBatch<Item, Result>({
          size: statement.size ?? 256,
          inFlight: 2,
          deadline,
          provesRollback,
          run: async (items) => {
            const values = statement.parameters(items)
            const { rows } = await pool.query<Row>({ name: statement.name, text: statement.text, values })
            return statement.results(items, rows)
          },
        }) as (item: unknown) => Promise<unknown>
        batches.set(statement.name, batch)
      }
      return batch(item) as Promise<Result>
    },

    async query(name, text, parameters) {
      const { rows } = await pool.query<Row>({ name, text, values: [...parameters] })
      return rows
    },

    transaction(work) {
      return prisma.$transaction((tx) => work({ prisma: tx }), { maxWait: 3_000, timeout: 10_000 })
    },

    async close() {
      await prisma.$disconnect()
      await pool.end()
    },
  }
  return database
}

/** The SQLSTATE that PostgreSQL reported, also where Prisma has wrapped it. */
export function sqlState(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { code, cause, meta } = error as { code?: unknown; cause?: unknown; meta?: Record<string, unknown> }
  if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !/^P[12]\d{3}$/.test(code)) return code
  if (typeof cause === 'object' && cause !== null) {
    const { originalCode } = cause as { originalCode?: unknown }
    if (typeof originalCode === 'string') return originalCode
    return sqlState(cause)
  }
  return sqlState(meta?.['driverAdapterError'])
}

/** Whether a statement failed because a unique value is taken. SQLSTATE 23505, which Prisma calls P2002. */
export function isUniqueViolation(error: unknown): boolean {
  return sqlState(error) === '23505' || (error instanceof Error && 'code' in error && error.code === 'P2002')
}

/** PostgreSQL itself said that the statement failed, and not because it was going away: nothing of it happened. */
function provesRollback(error: unknown): boolean {
  const state = sqlState(error)
  return state !== undefined && !isAwayState(state)
}

/** 08 connection, 57P0x shutdown, 53 resources (full disk, too many connections), 25006 read only, 57014 and 55P03 too slow. */
function isAwayState(state: string): boolean {
  return (
    /^(08|57P0|53|58)/.test(state) || state === '25006' || state === '57014' || state === '55P03' || state === '40001'
  )
}

/** Whether the database, not the request, is why a statement failed: 503, and the client may try again. */
export function isDatabaseAway(error: unknown): boolean {
  if (error instanceof DeadlineError) return true
  const state = sqlState(error)
  if (state) return isAwayState(state)
  if (!(error instanceof Error)) return false
  const code = (error as { code?: unknown }).code
  if (typeof code === 'string') {
    if (/^(ECONN|EPIPE|ETIMEDOUT|ENOENT|EHOST|ENETUNREACH|EAI_)/.test(code)) return true
    // Prisma: cannot reach, timed out, closed the connection, no free connection, transaction could not start.
    if (/^P(1001|1002|1008|1017|2024|2028)$/.test(code)) return true
  }
  if (error.cause instanceof Error && isDatabaseAway(error.cause)) return true
  return /Connection terminated|timeout exceeded when trying to connect|client has encountered a connection error|not queryable|pool after calling end/i.test(
    error.message,
  )
}
