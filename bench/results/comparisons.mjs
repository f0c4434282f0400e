// The full database beside the empty one, two processes beside one, and Node.js 24 beside this one.

import { ratioOf } from './ratio.mjs'
import { count, milliseconds, percent, rateCells, rateHead, table } from './text.mjs'

export function describeGrowth({
  rounds,
  seconds,
  count: rows,
  tokensPerGrant,
  filledIn,
  sizes,
  measured,
  dropped,
  grants,
}) {
  const tables = measured.flatMap(({ name, candidates }) => compare(name, candidates))
  const perGrant = (sizes.grant_table + sizes.grant_indexes) / sizes.grants
  const perToken = (sizes.token_table + sizes.token_indexes) / sizes.tokens
  const all = sizes.grant_table + sizes.grant_indexes + sizes.token_table + sizes.token_indexes
  return [
    '## Growth',
    '',
    `${count(rows.clients)} clients, ${count(rows.users)} users with a session each, and ${count(grants)} grants with ${tokensPerGrant} refresh tokens each, all but`,
    `the last used, over the weeks that the partitions hold and two that are over: ${(sizes.database / 1e9).toFixed(1)} GB, by COPY in ${filledIn.toFixed(0)} s.`,
    `Beside it the same server on an empty database, ${rounds} interleaved rounds of ${seconds} s, both with the settings of the`,
    'embedded PostgreSQL. The tokens that are rotated lie among the millions.',
    '',
    ...table([['', 'database', ...rateHead, 'of the empty one', 'CPU of the empty one'], ...tables]),
    '',
    `Expired partitions, ${(dropped.bytes / 1e9).toFixed(2)} GB with ${count(dropped.tokens)} refresh tokens, dropped by the worker's job in the process that`,
    `serves ${count(dropped.rate)} requests a second (rotation, redemption, client_credentials): ${milliseconds(dropped.took)}. The slowest request meanwhile took`,
    `${dropped.slowestDuring === 0 ? 'less than 50 ms' : milliseconds(dropped.slowestDuring)}; at any other time ${dropped.slowestOtherwise === 0 ? 'less than 50 ms' : milliseconds(dropped.slowestOtherwise)}; p99 of all ${count(dropped.requests)} was ${milliseconds(dropped.p99)}.`,
    '',
    `Bytes, tables and indexes: ${count(perGrant)} for a grant, ${count(perToken)} for a refresh token, used or not; so ${count(perGrant + perToken)} for a grant with`,
    `its one live token, and ${count(all / sizes.live)} for each of the ${count(sizes.live)} live grants with all that is kept until its partition is dropped.`,
  ]
}

export function describeTwoProcesses({ rounds, seconds, measured }) {
  const tables = measured.flatMap(({ name, candidates }) => compare(name, candidates))
  const reasons = measured.map(({ name, candidates: [one, two], postgresCore }) => {
    const more = ratioOf(two, one).toFixed(2)
    const cost = (two.cpu / one.cpu).toFixed(2)
    return `- ${name}: ${more} times one process. The two had ${percent(two.core)} of a core, the load ${percent(two.busy)}, PostgreSQL ${percent(postgresCore)} (over both); a request cost ${cost} times the CPU.`
  })
  return [
    '## Two processes',
    '',
    'PROCESSES=2 against one. The servers, the load and PostgreSQL share the same two cores, so what is gained is what one',
    `process left idle. ${rounds} interleaved rounds of ${seconds} s; CPU is the sum of all Node processes of the server.`,
    '',
    ...table([['', '', ...rateHead, 'of one', 'CPU of one'], ...tables]),
    '',
    'What is lost against twice as much, and where it went:',
    '',
    ...reasons,
    '',
    'The load and PostgreSQL do not become cheaper by a second process, and take their share of the second core; and what',
    'arrives together is dealt out to two processes, so that signatures and statements are batched by fewer: each pays more',
    'for the cold start of a signature and for a commit.',
  ]
}

export function describeNodeVersions({ reason, rounds, seconds, signatures, measured }) {
  if (reason) return ['## Node.js 24', '', `Not measured: ${reason}.`]
  const [here, other] = measured[0].candidates
  return [
    '## Node.js 24',
    '',
    `${other.name} (from npm) against ${here.name}, ${rounds} interleaved rounds of ${seconds} s.`,
    '',
    ...table([
      ['', '', ...rateHead, `of ${here.name}`, 'CPU'],
      ...measured.flatMap(({ name, candidates }) => compare(name, candidates)),
    ]),
    '',
    'In a loop, without any request:',
    '',
    ...signatures.map(
      ({ node, openssl, sign, verify }) =>
        `- Node ${node} with OpenSSL ${openssl}: ${sign.toFixed(0)} µs for an ES256 signature, ${verify.toFixed(0)} µs to verify it`,
    ),
    '',
    'So much of the difference of a path that signs or verifies is OpenSSL; the rest, and that of JWKS, is Node itself.',
  ]
}

function compare(name, candidates) {
  const [first] = candidates
  return candidates.map((candidate, index) => [
    index === 0 ? name : '',
    candidate.name,
    ...rateCells(candidate),
    ratioOf(candidate, first).toFixed(2),
    (first.cpu / candidate.cpu).toFixed(2),
  ])
}
