// A database as it is after years: clients, users with a session each, and the grants and refresh tokens of the last weeks,
// most of them used. Deterministic but for the time, which it is laid around. Written by COPY into partitions that are
// attached afterwards, as fast as the disk takes it; durability is for what is measured, not for this.

import { createHash } from 'node:crypto'
import pg from 'pg'
import { weekBucket } from '../dist/store/index.js'
import { copyRows, textArray } from './copy.mjs'
import { query } from './postgres.mjs'

const day = 86_400_000
const week = 7 * day

/** Tokens of one grant: all but the last are used. */
export const tokensPerGrant = 10
/** Every so many grants one has a token that we know, to use it. */
const knownEvery = 1_000

/** Of PostgreSQL, while it is filled. */
export const loadSettings = {
  fsync: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '8GB',
  maintenance_work_mem: '512MB',
  shared_buffers: '512MB',
  autovacuum: 'off',
}

let state = 0
/** Draws for row `n` of a kind, the same in every run. splitmix32. */
function seed(kind, n) {
  state = (Math.imul(n, 0x85ebca6b) ^ (kind * 0x9e3779b9) ^ Math.floor(n / 2 ** 32)) | 0
  for (let turn = 0; turn < 2; turn++) draw()
  return draw
}
function draw() {
  state = (state + 0x9e3779b9) | 0
  let z = state ^ (state >>> 16)
  z = Math.imul(z, 0x21f0aaad)
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
  return z ^ (z >>> 15)
}
const kinds = { client: 1, secret: 2, user: 3, session: 4, sessionToken: 5, grant: 6, token: 7, choice: 8, known: 9 }

function uuidOf(kind, n) {
  const next = seed(kind, n)
  const hex = Array.from({ length: 4 }, () => (next() >>> 0).toString(16).padStart(8, '0')).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/**
 * Fills a migrated database.
 *
 * @param count of `clients`, `users` and `tokens`
 * @returns the known tokens, each with its `bucket`, `value` and `hash`, and the buckets whose rows are all over
 */
export async function fillDatabase(url, count, now, log = console.log) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await fillClients(client, count.clients, now)
    await fillUsers(client, count.users, now)
    log(`  ${count.clients} clients, ${count.users} users`)
    const sessionBuckets = await fillSessions(client, count.users, now)
    const tokens = await fillGrants(client, count, now, sessionBuckets, log)
    await client.query('VACUUM (ANALYZE)')
    return tokens
  } finally {
    await client.end()
  }
}

async function fillClients(client, count, now) {
  const [none, redirects] = [textArray([]), textArray(['https://app.example.com/cb'])]
  const [grantTypes, code, scope] = [
    textArray(['authorization_code', 'refresh_token']),
    textArray(['code']),
    textArray(['read']),
  ]
  const arrays = { contacts: none, redirect_uris: redirects, grant_types: grantTypes, response_types: code, scope }
  const more = { default_scope: scope, required_scope: none, allowed_origins: none, allowed_resources: none }
  const lists = Object.entries({ ...arrays, ...more })
  const columns = [
    ...['client_id', 'client_name', 'token_endpoint_auth_method', 'application_type', 'require_pkce', 'first_party'],
    ...[
      'refresh_token_rotation',
      'refresh_token_retry_window',
      'created_at',
      'updated_at',
      ...lists.map(([name]) => name),
    ],
  ]
  await copyRows(client, 'client', columns, count, (row, n) => {
    row.text(uuidOf(kinds.client, n))
    row.text(`Application ${n}`)
    row.text('client_secret_basic')
    row.text('web')
    row.bool(true)
    row.bool(false)
    row.bool(true)
    row.int(10)
    row.time(now - 365 * day)
    row.time(now - 365 * day)
    for (const [, bytes] of lists) row.bytes(bytes)
  })
  // Checked once for all, and not row by row.
  const constraint = 'client_secret_client_id_fkey'
  const [{ definition }] = (
    await client.query('SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conname = $1', [
      constraint,
    ])
  ).rows
  await client.query(`ALTER TABLE client_secret DROP CONSTRAINT ${constraint}`)
  const secretColumns = ['id', 'client_id', 'method', 'hash', 'key_id', 'created_at']
  await copyRows(client, 'client_secret', secretColumns, count, (row, n) => {
    row.words(4, seed(kinds.secret, n))
    row.text(uuidOf(kinds.client, n))
    row.text('hmac-sha256')
    row.words(8, seed(kinds.secret, n))
    row.text('a-key-that-is-gone')
    row.time(now - 365 * day)
  })
  await client.query(`ALTER TABLE client_secret ADD CONSTRAINT ${constraint} ${definition}`)
}

async function fillUsers(client, count, now) {
  // As long as a real one; nobody signs in by it.
  const hash = `$argon2id$v=19$m=19456,t=2,p=1$${'c2FsdA'.repeat(4).slice(0, 22)}$${'aGFzaA'.repeat(8).slice(0, 43)}`
  const columns = ['id', 'email', 'name', 'password_hash', 'password_changed_at', 'admin', 'created_at', 'updated_at']
  await copyRows(client, 'user_account', columns, count, (row, n) => {
    row.words(4, seed(kinds.user, n))
    row.text(`person.${n}@example.org`)
    row.text(`Person ${n}`)
    row.text(hash)
    row.time(now - 365 * day)
    row.bool(false)
    row.time(now - 365 * day)
    row.time(now - 365 * day)
  })
}

/** One each, that ends in this week or the next. */
async function fillSessions(client, count, now) {
  const columns = ['bucket', 'token_hash', 'id', 'user_id', 'auth_time', 'created_at', 'expires_at', 'idle_expires_at']
  const ends = [now + 5 * day, now + 6.9 * day]
  const buckets = ends.map((end) => weekBucket(new Date(end)))
  for (const bucket of new Set(buckets)) {
    const kept = ends.filter((_, index) => buckets[index] === bucket)
    const users = Math.floor((count * kept.length) / ends.length)
    // All even users, or all odd ones, or everybody.
    const first = kept.length === ends.length ? 0 : buckets.indexOf(bucket)
    const step = ends.length / kept.length
    await intoPartition(client, 'session', bucket, (table) =>
      copyRows(client, table, columns, users, (row, index) => {
        const n = first + index * step
        row.int(bucket)
        row.words(8, seed(kinds.sessionToken, n))
        row.words(4, seed(kinds.session, n))
        row.words(4, seed(kinds.user, n))
        row.time(now - day)
        row.time(now - day)
        row.time(ends[n % 2])
        row.time(now + day / 2)
      }),
    )
  }
  return buckets
}

async function fillGrants(client, count, now, sessionBuckets, log) {
  const firstLive = weekBucket(new Date(now - day))
  const last = weekBucket(new Date(now + 30 * day))
  const buckets = Array.from({ length: last - firstLive + 3 }, (_, index) => firstLive - 2 + index)
  const perBucket = Math.floor(count.tokens / tokensPerGrant / buckets.length)
  const known = []
  for (const [turn, bucket] of buckets.entries()) {
    const part = {
      bucket,
      first: turn * perBucket,
      grants: perBucket,
      over: bucket < firstLive,
      now,
      count,
      sessionBuckets,
    }
    await fillGrantBucket(client, part)
    known.push(...(await fillTokenBucket(client, part)))
    log(
      `  week ${bucket}: ${perBucket} grants, ${perBucket * tokensPerGrant} refresh tokens${part.over ? ', all over' : ''}`,
    )
  }
  return { known, over: buckets.filter((bucket) => bucket < firstLive), grants: perBucket * buckets.length }
}

/** What a grant is, from its number alone: its row and its tokens' rows agree on it. */
function grantOf(n, { bucket, over, now, count }) {
  const next = seed(kinds.choice, n)
  const end = Math.min(bucket * week + ((next() >>> 0) % week), over ? Infinity : now + 30 * day)
  const known = !over && end > now + day && n % knownEvery === 0
  const user = ((next() >>> 0) % (count.users >> 1)) * 2 + (known ? 1 : next() & 1)
  return {
    end,
    known,
    user,
    client: (next() >>> 0) % count.clients,
    createdAt: end - 30 * day,
    // One in six was ended; the others live until their time is over.
    ended: !known && (next() >>> 0) % 6 === 0,
    offline: !known && (next() >>> 0) % 5 === 0,
  }
}

async function fillGrantBucket(client, part) {
  const { bucket, first, grants, sessionBuckets } = part
  const [scope, resources] = [textArray(['read']), textArray(['https://api.example.org'])]
  const columns = [
    ...['bucket', 'id', 'client_id', 'user_id', 'session_bucket', 'session_id', 'scope', 'resources', 'offline'],
    ...['auth_time', 'created_at', 'expires_at', 'ended_at', 'end_reason'],
  ]
  await intoPartition(client, 'authorization_grant', bucket, (table) =>
    copyRows(client, table, columns, grants, (row, index) => {
      const n = first + index
      const grant = grantOf(n, part)
      row.int(bucket)
      row.words(4, seed(kinds.grant, n))
      row.text(uuidOf(kinds.client, grant.client))
      row.words(4, seed(kinds.user, grant.user))
      row.int(sessionBuckets[grant.user % 2])
      row.words(4, seed(kinds.session, grant.user))
      row.bytes(scope)
      row.bytes(resources)
      row.bool(grant.offline)
      row.time(grant.createdAt)
      row.time(grant.createdAt)
      row.time(grant.end)
      if (grant.ended) row.time(grant.createdAt + day)
      else row.null()
      if (grant.ended) row.text('revoked by the user')
      else row.null()
    }),
  )
}

async function fillTokenBucket(client, part) {
  const { bucket, first, grants, now } = part
  const columns = [
    ...['bucket', 'token_hash', 'grant_id', 'client_id', 'created_at', 'expires_at', 'used_at', 'successor_hash'],
    'retry_until',
  ]
  const known = []
  let grant
  let clientId
  let token
  await intoPartition(client, 'refresh_token', bucket, (table) =>
    copyRows(client, table, columns, grants * tokensPerGrant, (row, index) => {
      const n = first + Math.floor(index / tokensPerGrant)
      const turn = index % tokensPerGrant
      if (turn === 0) {
        grant = grantOf(n, part)
        clientId = uuidOf(kinds.client, grant.client)
        token = grant.known ? knownToken(bucket, n) : undefined
        if (token) known.push(token)
      }
      const hashColumn = (at) => {
        if (token && at === tokensPerGrant - 1) row.bytes(token.hash)
        else row.words(8, seed(kinds.token, n * tokensPerGrant + at))
      }
      // Spread over the grant's life until now; the last one was given lately.
      const until = Math.min(now, grant.end)
      const step = (until - grant.createdAt) / tokensPerGrant
      const createdAt = turn === tokensPerGrant - 1 ? until - Math.min(step, day) : grant.createdAt + turn * step
      row.int(bucket)
      hashColumn(turn)
      row.words(4, seed(kinds.grant, n))
      row.text(clientId)
      row.time(createdAt)
      row.time(Math.min(createdAt + week, grant.end))
      if (turn === tokensPerGrant - 1) {
        row.null()
        row.null()
        row.null()
      } else {
        row.time(createdAt + step)
        hashColumn(turn + 1)
        row.time(createdAt + step + 10_000)
      }
    }),
  )
  return known
}

function knownToken(bucket, n) {
  const next = seed(kinds.known, n)
  const bytes = Buffer.alloc(32)
  for (let at = 0; at < 32; at += 4) bytes.writeUInt32BE(next() >>> 0, at)
  const value = `ort_${bucket.toString(36)}_${bytes.toString('base64url')}`
  return { bucket, value, hash: createHash('sha256').update(value).digest() }
}

/** A partition is filled without its indexes, in the transaction that makes it: neither is logged twice. */
async function intoPartition(client, table, bucket, fill) {
  const name = `${table}_p${bucket}`
  await client.query('BEGIN')
  await client.query(`DROP TABLE IF EXISTS ${name}`)
  await client.query(`CREATE TABLE ${name} (LIKE ${table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`)
  await fill(name)
  await client.query(`ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES FROM (${bucket}) TO (${bucket + 1})`)
  await client.query('COMMIT')
}

/** Gives the known grants to a client and resource that exist. */
export async function adoptGrants(url, known, { clientId, scope, audience }) {
  const values = [known.map(({ bucket }) => bucket), known.map(({ hash }) => hash), clientId, [scope], [audience]]
  await query(
    url,
    `WITH known AS (
       UPDATE refresh_token t SET client_id = $3
         FROM unnest($1::int[], $2::bytea[]) AS k (bucket, hash) WHERE t.bucket = k.bucket AND t.token_hash = k.hash
       RETURNING t.bucket, t.grant_id
     )
     UPDATE authorization_grant g SET client_id = $3, scope = $4, resources = $5
       FROM known k WHERE g.bucket = k.bucket AND g.id = k.grant_id`,
    { values },
  )
}

/** Bytes of tables and indexes, and what lies in them. */
export async function measureSizes(url, now) {
  const [sizes] = await query(
    url,
    `SELECT (SELECT sum(pg_table_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'refresh_token'::regclass)::float8 AS token_table,
            (SELECT sum(pg_indexes_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'refresh_token'::regclass)::float8 AS token_indexes,
            (SELECT sum(pg_table_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'authorization_grant'::regclass)::float8 AS grant_table,
            (SELECT sum(pg_indexes_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'authorization_grant'::regclass)::float8 AS grant_indexes,
            pg_database_size(current_database())::float8 AS database,
            (SELECT count(*) FROM refresh_token)::float8 AS tokens, (SELECT count(*) FROM authorization_grant)::float8 AS grants,
            (SELECT count(*) FROM authorization_grant WHERE ended_at IS NULL AND expires_at > $1)::float8 AS live`,
    { values: [new Date(now)] },
  )
  return sizes
}
