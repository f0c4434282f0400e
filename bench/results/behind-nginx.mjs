// An API behind nginx, with and without the question to this server.

import { ratioOf } from './ratio.mjs'
import { count, milliseconds, rateCells, rateHead, table } from './text.mjs'

export function describeBehindNginx({ reason, rounds, seconds, rate, openRounds, candidates, latencies }) {
  if (reason) return ['## An API behind a gateway', '', `Not measured: ${reason}.`]
  const [plain] = candidates
  const [least] = latencies
  const added = (index, field) => (index === 0 ? '' : milliseconds(Math.max(0, latencies[index][field] - least[field])))
  return [
    '## An API behind a gateway',
    '',
    'A bare Fastify route that answers fixed JSON, behind Debian’s nginx: alone, and as `docs/gateways/nginx.conf` has it, where nginx',
    'asks /forward-auth about each request. The server remembers what a credential is worth, for as long as the feed of revocations says',
    'so. nginx, the API, the server, PostgreSQL and the load share two cores, and CPU is that of nginx, API and server together.',
    `64 connections, ${rounds} interleaved rounds of ${seconds} s.`,
    '',
    ...table([
      ['', ...rateHead, 'of nginx alone'],
      ...candidates.map((each) => [each.name, ...rateCells(each), ratioOf(each, plain).toFixed(2)]),
    ]),
    '',
    `At ${count(rate)} requests a second, sent at their time whether or not earlier ones were answered; medians of ${openRounds} rounds:`,
    '',
    ...table([
      ['', 'p50', 'p99', 'p50 added', 'p99 added'],
      ...candidates.map(({ name }, index) => [
        name,
        ...['p50', 'p99'].map((field) => milliseconds(latencies[index][field])),
        ...['p50', 'p99'].map((field) => added(index, field)),
      ]),
    ]),
  ]
}
