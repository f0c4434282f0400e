// What it costs to revoke a user, with few live tokens and with many.

import { createUser } from '../dist/identity/index.js'
import { revoke } from '../dist/revocation/index.js'
import { query } from './postgres.mjs'
import { stockChains } from './site.mjs'

const rounds = 20

/**
 * By turns: with each user the same statements run, and the median is what they take.
 *
 * @param counts live tokens, each of a grant of its own
 * @returns for each of them `tokens`, `time` (milliseconds) and `statements`
 */
export async function measureRevokedUsers(site, origin, url, counts) {
  const measured = []
  for (const tokens of counts) {
    const user = await createUser(site.ctx, { email: `with${tokens}@${site.tag}.example.com` }, { actor: 'operator' })
    await stockChains({ ...site, user }, 1, origin)
    await multiply(url, user.id, tokens)
    measured.push({ tokens, user, times: [], statements: [] })
  }
  const counted = countStatements(site.ctx.db.pool)
  try {
    for (let round = 0; round < rounds; round++) {
      for (const { user, times, statements } of measured) {
        const before = counted.count()
        const startedAt = performance.now()
        await revoke(site.ctx, { kind: 'user', userId: user.id }, { actor: 'operator', reason: 'bench' })
        times.push(performance.now() - startedAt)
        statements.push(counted.count() - before)
      }
    }
  } finally {
    counted.stop()
  }
  return measured.map(({ tokens, times, statements }) => ({
    tokens,
    time: median(times),
    statements: median(statements),
  }))
}

/** Copies of the one grant that the user has, with its refresh token and the place of its access token. */
async function multiply(url, userId, count) {
  await query(
    url,
    `WITH copy AS MATERIALIZED (SELECT gen_random_uuid() AS id, n FROM generate_series(2, $2::int) n
     ), given AS (
       INSERT INTO authorization_grant
       SELECT r.* FROM authorization_grant o CROSS JOIN copy c
        CROSS JOIN LATERAL jsonb_populate_record(o, jsonb_build_object('id', c.id)) r
        WHERE o.user_id = $1
     ), refreshed AS (
       INSERT INTO refresh_token
       SELECT r.* FROM refresh_token o JOIN authorization_grant g ON g.id = o.grant_id CROSS JOIN copy c
        CROSS JOIN LATERAL jsonb_populate_record(o, jsonb_build_object(
          'grant_id', c.id, 'token_hash', '\\x' || encode(sha256(c.id::text::bytea), 'hex'))) r
        WHERE g.user_id = $1
     )
     INSERT INTO status_index
     SELECT r.* FROM status_index o CROSS JOIN copy c
      CROSS JOIN LATERAL jsonb_populate_record(o, jsonb_build_object('grant_id', c.id, 'idx', c.n)) r
      WHERE o.user_id = $1`,
    { values: [userId, count] },
  )
  const [{ found }] = await query(url, 'SELECT count(*)::int AS found FROM status_index WHERE user_id = $1', {
    values: [userId],
  })
  if (found !== count) throw new Error(`the user has ${found} live tokens and not ${count}`)
}

function countStatements(pool) {
  const { query: original } = pool
  let count = 0
  pool.query = (...args) => {
    count++
    return original.apply(pool, args)
  }
  return {
    count: () => count,
    stop() {
      pool.query = original
    },
  }
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
}
