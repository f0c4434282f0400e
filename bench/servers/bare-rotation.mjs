// The least that a rotation in PostgreSQL takes: one small table, one statement for all rotations of a turn.

import { createHash, randomBytes } from 'node:crypto'
import pg from 'pg'
import { encode, formHeaders } from '../http.mjs'

const hashOf = (token) => createHash('sha256').update(token).digest()

const rotateAll = `
  WITH input AS (
    SELECT * FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS i (hash, successor, n)
  ), used AS (
    UPDATE bench_token t SET used_at = $3, successor = i.successor
      FROM input i WHERE t.hash = i.hash AND t.used_at IS NULL
    RETURNING i.n, i.successor, t.grant_id
  ), added AS (
    INSERT INTO bench_token (hash, grant_id) SELECT successor, grant_id FROM used
  )
  SELECT n FROM used`

/** All rotations of one turn in one statement, two statements at once. */
function createRotation(pool) {
  const queue = []
  let running = 0
  let scheduled = false
  const schedule = () => {
    if (scheduled || running >= 2 || queue.length === 0) return
    scheduled = true
    setImmediate(flush)
  }
  const flush = () => {
    scheduled = false
    const items = queue.splice(0, 256)
    running++
    run(items)
      .catch((error) => {
        for (const { reject } of items) reject(error)
      })
      .finally(() => {
        running--
        schedule()
      })
    schedule()
  }
  const run = async (items) => {
    const values = [items.map(({ hash }) => hash), items.map(({ successor }) => successor), new Date()]
    const { rows } = await pool.query({ name: 'rotate', text: rotateAll, values })
    const won = new Set(rows.map(({ n }) => Number(n)))
    for (const [index, { resolve }] of items.entries()) resolve(won.has(index + 1))
  }
  return (hash, successor) =>
    new Promise((resolve, reject) => {
      queue.push({ hash, successor, resolve, reject })
      schedule()
    })
}

export async function prepareRotation(app, { databaseUrl, send, tokens, client }) {
  // Else a plan that was made while the table was small scans all of it once it has grown.
  const options = ['seqscan', 'hashjoin', 'mergejoin'].map((plan) => `-c enable_${plan}=off`).join(' ')
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 4,
    options: `${options} -c plan_cache_mode=force_generic_plan`,
  })
  await pool.query(`
    CREATE TABLE bench_token (hash bytea PRIMARY KEY, grant_id uuid NOT NULL, used_at timestamptz, successor bytea)`)
  const rotate = createRotation(pool)

  app.post('/rotate', async ({ body }, reply) => {
    const refreshToken = randomBytes(32).toString('base64url')
    if (await rotate(hashOf(body.refresh_token), hashOf(refreshToken)))
      return send(reply, { refresh_token: refreshToken })
    return reply.code(400).send({ error: 'invalid_grant' })
  })
  return {
    jobs: {
      rotate: {
        method: 'POST',
        path: '/rotate',
        headers: formHeaders,
        expect: { kind: 'refresh', ...tokens },
        form: encode({ grant_type: 'refresh_token', ...client }),
        stock: 'smallChains',
      },
    },
    actions: {
      async smallChains({ count }) {
        const drawn = Array.from({ length: count }, () => randomBytes(32).toString('base64url'))
        await pool.query('INSERT INTO bench_token (hash, grant_id) SELECT unnest($1::bytea[]), gen_random_uuid()', [
          drawn.map(hashOf),
        ])
        return { tokens: drawn }
      },
    },
  }
}
