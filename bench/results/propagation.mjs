// What becomes of a revocation after its answer.

import { count, megabytes, milliseconds, table } from './text.mjs'

const share = (value) => `${(value * 100).toFixed(2)} %`

export function describePropagation({ spread, idle, cold, revocations }) {
  const rows = spread.map(({ listeners, p50, p99, most }) => [
    listeners,
    milliseconds(p50),
    milliseconds(p99),
    milliseconds(most),
  ])
  const { entries, bytes, documents, first, seconds, feed, rssBefore, rss } = cold
  return [
    '## Propagation of revocations',
    '',
    `From the 200 of /revoke, as its client reads it, to the event at each listener of the feed: ${count(revocations)} revocations of`,
    'access tokens by turns at two server processes, over which the listeners are spread. One that was heard before the',
    'answer was read counts as 0.',
    '',
    ...table([['listeners', 'p50', 'p99', 'at most'], ...rows]),
    '',
    `A server process uses ${share(idle.alone)} of a core by itself, and ${share(idle.busy)} with 100 listeners that nothing is told (heartbeats`,
    `every 2 s, ${idle.bytes.toFixed(0)} bytes a second to each).`,
    '',
    `A cold start with ${count(entries)} live entries: the snapshot is ${megabytes(bytes)} in ${documents} documents (${(bytes / entries).toFixed(1)} bytes an entry,`,
    `gzip), read in ${seconds.toFixed(1)} s; the first after they were written took ${first.toFixed(1)} s, since the server read them`,
    `too. The same by the feed: ${megabytes(feed.bytes)} (${(feed.bytes / feed.entries).toFixed(1)} bytes an entry) in ${feed.seconds.toFixed(1)} s. The server process had`,
    `${megabytes(rssBefore)} resident before, and ${megabytes(rss)} after.`,
  ]
}
