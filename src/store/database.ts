import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { createBatch, DeadlineError } from '../platform/batch.js'
import { within } from '../platform/deadline.js'
import { type Prisma, PrismaClient } from './prisma/client.js'

/** A pool or an open transaction: what everyday reads and writes take first. */
export interface Db {
  readonly prisma: Prisma.TransactionClient
  /** One statement, named and prepared, also within the transaction that is open. */
  query(name: string, text: string, parameters: readonly unknown[]): Promise<readonly Row[]>
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
  /** The most statements at once. Default 2: one works while the other waits for its commit. */
  readonly inFlight?: number
}

// biome-ignore lint/suspicious/noExplicitAny: a row has the shape that its statement's text says; each statement has a test
export type Row = Record<string, any>

export interface Database extends Db {
  /** Made when it is first asked for: its query compiler is WebAssembly, a fifth of a second of a start that needs none of it. */
  readonly prisma: PrismaClient
  readonly pool: pg.Pool
  /** Runs the item with all others of this turn. @throws what the statement throws, or DeadlineError */
  run<Item, Result>(statement: BatchedStatement<Item, Result>, item: Item): Promise<Result>
  /** One statement that only reads, and may take so many milliseconds: what is worth more than a request waits for. */
  queryFor(milliseconds: number, name: string, text: string, parameters: readonly unknown[]): Promise<readonly Row[]>
  /**
   * Another one whenever a connection was made or lost since: then another server may answer, to which not all was replicated
   * that the one before had shown.
   */
  readonly era: number
  /** Statements in a row on one connection, and the era. */
  reads<Result>(work: (db: Pick<Db, 'query'>, era: number) => Promise<Result>): Promise<Result>
  transaction<Result>(work: (db: Db) => Promise<Result>): Promise<Result>
  close(): Promise<void>
}

export interface DatabaseOptions {
  readonly url: string
  readonly poolSize: number
  /** Milliseconds past which a caller gets 503; a statement is ended by the server a little earlier. Default 5,000. */
  readonly deadline?: number
  /** Called with errors of idle connections; the pool replaces them. */
  readonly onError?: (error: Error) => void
}

/** Milliseconds. */
const limits = 'SET lock_timeout = 2000; SET statement_timeout = 4500; SET idle_in_transaction_session_timeout = 10000'

/**
 * Everything here is looked up by key. A plan that was made while a table was small must not scan it once it has grown,
 * and a batch joins an array of unknown length with a large table: so only plans that follow an index are wanted.
 */
const plans =
  'SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; SET jit = off'

/** One pool for Prisma and for the hot statements. Nothing is connected before the first statement. */
export function openDatabase(options: DatabaseOptions): Database {
  const { deadline = 5_000 } = options
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize,
    connectionTimeoutMillis: 3_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    // A network that swallows packets answers nothing: the statement ends here, and with it its connection.
    query_timeout: deadline,
    application_name: 'ostiary',
    // Before the first statement, and not by startup options: a connection pooler in front of PostgreSQL refuses those.
    onConnect: async (client) => {
      await client.query(`${limits}; ${plans}`)
    },
  })
  let closing = false
  let era = 0
  pool.on('connect', () => void era++)
  pool.on('remove', () => void era++)
  pool.on('error', (error) => {
    // A database that stops right after us may be quicker than our goodbye.
    if (!closing) options.onError?.(error)
  })
  let prisma: PrismaClient | undefined
  const names = new Map<string, string>()
  const batches = new Map<string, (item: unknown) => Promise<unknown>>()

  const database: Database = {
    get prisma() {
      prisma ??= new PrismaClient({
        adapter: new PrismaPg(pool, {
          disposeExternalPool: false,
          // No name: it is planned each time.
          statementNameGenerator: ({ sql }) => names.get(sql) ?? '',
        }),
        // Its other formats read the source around the call from the disk, for every error.
        errorFormat: 'minimal',
      })
      return prisma
    },

    pool,

    get era() {
      return era
    },

    run<Item, Result>(statement: BatchedStatement<Item, Result>, item: Item): Promise<Result> {
      let batch = batches.get(statement.name)
      if (!batch) {
        batch = createBatch<Item, Result>({
          size: statement.size ?? 256,
          inFlight: statement.inFlight ?? 2,
          deadline,
          provesRollback,
          hasWaited: (error) => sqlState(error) === '55P03',
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
      // With the connection that it may have to wait for.
      const { rows } = await within(deadline, pool.query<Row>({ name, text, values: [...parameters] }))
      return rows
    },

    queryFor(milliseconds, name, text, parameters) {
      const begin = `BEGIN READ ONLY; SET LOCAL statement_timeout = ${milliseconds}`
      return transactionOn(pool, begin, async (client) => {
        const patient = { name, text, values: [...parameters], query_timeout: milliseconds + deadline }
        return (await client.query<Row>(patient)).rows
      })
    },

    reads: (work) =>
      onOneConnection(pool, (client, giveUp) => {
        const query: Db['query'] = async (name, text, parameters) => {
          // One that has not answered in time may answer the next statement with it.
          const { rows } = await client.query<Row>({ name, text, values: [...parameters] }).catch(giveUp)
          return rows
        }
        return work({ query }, era)
      }),

    transaction(work) {
      return database.prisma.$transaction((tx) => work(inTransaction(tx, names)), { maxWait: 3_000, timeout: 10_000 })
    },

    async close() {
      closing = true
      await prisma?.$disconnect()
      await pool.end()
    },
  }
  return database
}

/** A transaction on a connection of its own, begun by this text. One that cannot be rolled back is not used again. */
export function transactionOn<Result>(
  pool: pg.Pool,
  begin: string,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> {
  return onOneConnection(pool, async (client, giveUp) => {
    try {
      await client.query(begin)
      const result = await work(client)
      await client.query('COMMIT')
      return result
    } catch (error) {
      await client
        .query('ROLLBACK')
        .catch(giveUp)
        .catch(() => undefined)
      throw error
    }
  })
}

/**
 * One that is lost between two statements tells nobody else, and an error that nobody hears would end the process.
 *
 * @param work is given what says that the connection is of no use any more, and throws that
 */
async function onOneConnection<Result>(
  pool: pg.Pool,
  work: (client: pg.PoolClient, giveUp: (error: Error) => never) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect()
  let broken: Error | undefined
  const lost = (error: Error): void => {
    broken = error
  }
  client.on('error', lost)
  try {
    return await work(client, (error) => {
      broken = error
      throw error
    })
  } finally {
    client.off('error', lost)
    client.release(broken)
  }
}

/**
 * Statements go by Prisma, and by their names all the same: to plan one that does much anew each time takes longer than to run it,
 * and whoever revokes waits for that.
 *
 * @param names of what was run so, by its text
 */
function inTransaction(prisma: Prisma.TransactionClient, names: Map<string, string>): Db {
  return {
    prisma,
    query(name, text, parameters) {
      names.set(text, name)
      return prisma.$queryRawUnsafe(text, ...parameters)
    },
  }
}

/** What Prisma's adapter makes of an error of the driver. */
interface AdapterError {
  readonly kind?: string
  readonly originalCode?: string
}

/** Prisma gives it as the cause of the adapter's own error, or wraps that one once more. */
function adapterError(error: unknown): AdapterError | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { cause, meta } = error as { cause?: unknown; meta?: { driverAdapterError?: unknown } }
  if (typeof cause === 'object' && cause !== null && 'kind' in cause) return cause as AdapterError
  return adapterError(meta?.driverAdapterError)
}

/** The SQLSTATE that PostgreSQL reported, also where Prisma has wrapped it. */
export function sqlState(error: unknown): string | undefined {
  // Not by the look of `code`: EPIPE, of a lost connection, has five capital letters too, and proves nothing.
  if (error instanceof pg.DatabaseError) return error.code
  return adapterError(error)?.originalCode
}

/** Whether a statement failed because a unique value is taken. SQLSTATE 23505. */
export function isUniqueViolation(error: unknown): boolean {
  return sqlState(error) === '23505'
}

/** PostgreSQL itself said that the statement failed, and not because it was going away: nothing of it happened. */
function provesRollback(error: unknown): boolean {
  const state = sqlState(error)
  return state !== undefined && !isAwayState(state)
}

/**
 * 08 connection, 28 and 3D000 not let in, 57P0x shutdown, 53 resources (full disk, too many connections), 58 system,
 * 25006 read only, 25P03 and 25P04 a transaction that took too long, 57014 and 55P03 too slow, 40001 and 40P01 somebody
 * else was first.
 */
function isAwayState(state: string): boolean {
  return /^(08|28|57P0|53|58)/.test(state) || awayStates.has(state)
}

const awayStates: ReadonlySet<string> = new Set([
  ...['3D000', '25006', '25P03', '25P04', '57014', '55P03', '40001', '40P01'],
])

/** Of Prisma: cannot reach, timed out, closed the connection, no free connection, transaction could not start. */
const awayCodes = /^(P1001|P1002|P1008|P1017|P2024|P2028)$/

/** Of the system: what a connection that cannot be made, or breaks, is called. */
const lostCodes = /^(ECONN\w+|EPIPE|ETIMEDOUT|EHOST\w+|ENETUNREACH|ENOTFOUND|EAI_\w+)$/

/** Of Prisma's adapter, where PostgreSQL said nothing. */
const awayKinds = /^(DatabaseNotReachable|ConnectionClosed|SocketTimeout|TooManyConnections|TlsConnectionError)$/

/** Of pg, whose own errors have no code. */
const awayMessages =
  /Connection terminated|Query read timeout|timeout expired|timeout exceeded when trying to connect|client has encountered a connection error|not queryable|pool after calling end|\bconnect E[A-Z]+/i

/** Whether the database, not the request, is why a statement failed: 503, and the client may try again. */
export function isDatabaseAway(error: unknown): boolean {
  if (error instanceof DeadlineError) return true
  const state = sqlState(error)
  // No table has a check of ours: a partition was created under the row, which finds it at the next attempt.
  if (state !== undefined) return isAwayState(state) || state === '23514'
  if (!(error instanceof Error)) return false
  const { code } = error as { code?: unknown }
  if (typeof code === 'string' && (awayCodes.test(code) || lostCodes.test(code))) return true
  if (awayKinds.test(adapterError(error)?.kind ?? '')) return true
  return isDatabaseAway(error.cause) || awayMessages.test(error.message)
}
