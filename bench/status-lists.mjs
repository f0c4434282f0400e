// `node bench/status-lists.mjs`, after `npm run build`: what status lists cost with 100 million live tokens, written to
// docs/status-lists.md. One list is made in full, by the server's own code, at each share of revoked tokens; what the
// database reads is measured on a million rows. The rest is arithmetic from these, and says so.
//
//   --rows 100000   fewer rows: printed, not written

import { createHash, createSign, generateKeyPairSync, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createPermutation } from '../dist/platform/crypto/permutation.js'
import { encodeStatusList } from '../dist/protocol/status-list/encode.js'
import { statusLists } from '../dist/store/index.js'
import { cleanUp, here } from './machine.mjs'
import { openPostgres, query } from './postgres.mjs'
import { describeMachine } from './results/index.mjs'
import { count, table } from './results/text.mjs'
import { openSite } from './site.mjs'

const live = 100_000_000
const size = statusLists.statusListSize
const periodLength = 600
const ttl = 60
const shares = [0, 0.0001, 0.001, 0.01, 0.1]
const issuer = 'https://auth.example.com'

const { values: options } = parseArgs({ options: { rows: { type: 'string' } } })
const rows = Number(options.rows ?? 1_000_000)

const kilobytes = (bytes) => (bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(1)} KiB`)
const megabytes = (bytes) => `${count(bytes / 2 ** 20)} MiB`
const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`
const percent = (share) => `${+(share * 100).toFixed(2)} %`

/** As the server makes it: bits, compression, signature. */
async function makeLists() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const header = Buffer.from(JSON.stringify({ alg: 'ES256', typ: 'statuslist+jwt', kid: 'x'.repeat(43) }))
  const made = []
  for (const share of shares) {
    const results = []
    for (let run = 0; run < 15; run++) {
      // The first so many of the list: its order spreads them as chance would.
      const permute = createPermutation(createHash('sha256').update(`${share} ${run}`).digest())
      const bits = new Uint8Array(size / 8)
      for (let at = 0; at < Math.round(size * share); at++) bits[permute(at) >> 3] |= 1 << (permute(at) & 7)
      const startedAt = performance.now()
      const status_list = await encodeStatusList(bits)
      const iat = 1_764_367_200
      const claims = {
        iss: issuer,
        sub: `${issuer}/status-lists/${'x'.repeat(22)}`,
        iat,
        exp: iat + 180,
        ttl,
        status_list,
      }
      const input = `${header.toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
      const signature = createSign('sha256').update(input).sign({ key: privateKey, dsaEncoding: 'ieee-p1363' })
      const jwt = `${input}.${signature.toString('base64url')}`
      const took = performance.now() - startedAt
      results.push({ took, compressed: Buffer.from(status_list.lst, 'base64url').length, signed: jwt.length })
    }
    results.sort((a, b) => a.took - b.took)
    made.push({ share, ...results[7] })
  }
  return made
}

/** Lists that hold tokens which are alive: the periods that a lifetime reaches into, each with what is issued in it. */
function countLists(lifetime) {
  const perSecond = live / lifetime
  const perPeriod = Math.ceil((perSecond * periodLength) / size)
  // At the worst moment a period has just begun, and the lifetime ends inside another.
  const periods = Math.ceil(lifetime / periodLength) + 1
  return { lifetime, perSecond, perPeriod, most: perPeriod * periods }
}

/** What the statement of a build reads, with a million tokens of users alive. */
async function measureReads() {
  const postgres = await openPostgres({ cores: '0,1' })
  const { url } = postgres
  const site = await openSite({ databaseUrl: url, masterKey: randomBytes(32).toString('base64'), tag: 'lists' })
  const { ctx } = site
  const iat = Math.floor(Date.now() / 1000)
  // An index, and with it a list.
  await ctx.statusIndexes.lease({ kid: 'kid', iat, exp: iat + 600 })
  const sql = (text, values) => query(url, text, { values })
  const uuid = (what) => `md5('${what}' || (n % ${rows / 5}))::uuid`
  await sql(
    `INSERT INTO status_index (bucket, user_id, list_id, idx, grant_id, client_id, audience, iat)
     SELECT l.bucket, CASE WHEN n % 10 = 0 THEN md5('crowd')::uuid ELSE ${uuid('user')} END, l.id, n, ${uuid('grant')},
            CASE WHEN n % 2 = 0 THEN 'large' ELSE 'c' || n % 1000 END, 'https://api.example.com', $1
       FROM status_list l, generate_series(0, ${rows - 1}) n`,
    [iat],
  )
  await sql('VACUUM ANALYZE status_index')
  const [{ bytes }] = await sql(
    `SELECT sum(pg_total_relation_size(inhrelid))::float AS bytes FROM pg_inherits WHERE inhparent = 'status_index'::regclass`,
  )
  const revoke = (from) =>
    sql(
      `INSERT INTO revocation (bucket, kind, target, position, terminal, instant, audiences, reason, expires_at, subject)
       SELECT 2000000000, kind, target, nextval('revocation_position'), true, to_timestamp($1), '{}', 'bench',
              to_timestamp($1 + 3600), subject FROM (${from}) AS r (kind, target, subject)`,
      [iat],
    )
  const read = async () => {
    const startedAt = performance.now()
    await ctx.statusLists.refresh()
    return performance.now() - startedAt
  }
  const reads = []
  const after = async (what, from) => {
    await revoke(from)
    reads.push({ what, took: await read() })
    await sql('DELETE FROM revocation')
  }
  await read()
  reads.push({ what: 'nothing new', took: await read() })
  const grants = (from, to) =>
    `SELECT 'grant', ${uuid('grant')}::text, ${uuid('user')}::text FROM generate_series(${from}, ${to - 1}) n WHERE n % 10 <> 0`
  await after('1,000 grants of one to five tokens each', grants(0, 1112))
  await after(`a cold start with ${count(rows / 10)} of them`, grants(0, rows / 9))
  const crowd = "md5('crowd')::uuid::text"
  await after(`one user with ${count(rows / 10)} tokens`, `SELECT 'user', ${crowd}, ${crowd}`)
  await after(`one client with ${count(rows / 2)} tokens of users`, `SELECT 'client', 'large', 'large'`)
  await site.close()
  await postgres.stop()
  return { perRow: bytes / rows, reads, version: postgres.version }
}

function write({ made, reads, machine }) {
  const [default10, hour] = [countLists(600), countLists(3600)]
  const at = (share) => made.find((each) => each.share === share)
  const fetches = (verifiers, { most }) => (verifiers * most) / ttl
  const lists = [default10, hour]
  return `${[
    '# Status lists, sized for 100 million live tokens',
    '',
    'Written by `node bench/status-lists.mjs`. The lists in the first table were made, by the code that makes them in the',
    'server; the reads in the last were measured; the rest is arithmetic from these.',
    '',
    `- ${machine.cpu}, Node ${machine.node}, PostgreSQL ${reads.version}`,
    `- ${count(size)} tokens a list, ${kilobytes(size / 8)} of bits; periods of ${periodLength} s; \`STATUS_LIST_TTL\` ${ttl} s`,
    '',
    '## One list',
    '',
    ...table([
      ['revoked', 'bits', 'compressed', 'signed, as it is sent', 'time to compress and sign'],
      ...made.map(({ share, compressed, signed, took }) => [
        percent(share),
        kilobytes(size / 8),
        kilobytes(compressed),
        kilobytes(signed),
        milliseconds(took),
      ]),
    ]),
    '',
    'Compression runs on the thread pool, beside the event loop. An answer in gzip has about the compressed size again.',
    '',
    '## All of them',
    '',
    'A list is for tokens that expire in one period of ten minutes, and is over with it. So with 100 million tokens alive',
    'there are at most:',
    '',
    ...table([
      ['`ACCESS_TOKEN_LIFETIME`', 'tokens a second', 'lists a period', 'lists with live tokens', 'bits in memory'],
      ...lists.map(({ lifetime, perSecond, perPeriod, most }) => [
        `${lifetime} s`,
        count(perSecond),
        count(perPeriod),
        count(most),
        megabytes((most * size) / 8),
      ]),
    ]),
    '',
    'Bits are in memory only of lists in which something is set, in the processes that are asked for lists.',
    '',
    `Blocks cost lists too, since what is left of one is given to nobody. A client that asks now and then takes a block of 64:`,
    `a million such clients, active in every period, take ${count((1_000_000 * 64) / size)} lists a period, of a few hundred bytes each while none of them is ended.`,
    '',
    '## What is asked',
    '',
    'A verifier asks for each list that it saw a token of, once per `ttl`. This is what a cache in front must bear, in',
    'requests a second and bytes a second at each share of revoked tokens:',
    '',
    ...table([
      ['verifiers', 'lifetime', 'requests/s', ...shares.slice(1).map(percent)],
      ...[10, 100, 1000].flatMap((verifiers) =>
        lists.map((each) => [
          count(verifiers),
          `${each.lifetime} s`,
          count(fetches(verifiers, each)),
          ...shares.slice(1).map((share) => `${((fetches(verifiers, each) * at(share).signed) / 1e6).toFixed(1)} MB/s`),
        ]),
      ),
    ]),
    '',
    'Behind the cache a server process makes each list at most once per `ttl`, whoever asks:',
    '',
    ...table([
      ['lifetime', 'lists made/s', ...shares.slice(1).map((share) => `of a core at ${percent(share)}`)],
      ...lists.map((each) => [
        `${each.lifetime} s`,
        (each.most / ttl).toFixed(1),
        ...shares.slice(1).map((share) => percent(((each.most / ttl) * at(share).took) / 1000)),
      ]),
    ]),
    '',
    '## What is read and kept',
    '',
    `A token of a user has a row of ${count(reads.perRow)} bytes with its indexes (\`status_index\`), in the partition of its day; a token of a`,
    'service has none, but its block has one. Before a list is made, what was revoked since is read once for all lists:',
    '',
    ...table([
      [`revoked since, with ${count(rows)} tokens of users alive`, 'time to read and set'],
      ...reads.reads.map(({ what, took }) => [what, milliseconds(took)]),
    ]),
    '',
    'The last grows with the tokens of that client. What is more than 4.5 s of work is begun once more and may take 60 s, for',
    'which all lists wait: by proportion, ten million live tokens of one client. Beyond that the lists answer 503 until less is',
    'alive: such a client should have lifetimes that keep them below.',
  ].join('\n')}\n`
}

let status = 0
try {
  const made = await makeLists()
  const reads = await measureReads()
  const text = write({ made, reads, machine: await describeMachine() })
  if (options.rows === undefined) writeFileSync(join(here, '../docs/status-lists.md'), text)
  console.log(text)
} catch (error) {
  console.error(error)
  status = 1
}
process.exit((await cleanUp()) ? status : 1)
