// What becomes of a revocation after its answer.

import { count, megabytes, milliseconds, table } from './text.mjs'

const share = (value) => `${(value * 100).toFixed(2)} %`

const delays = ({ p50, p99, most }) => [milliseconds(p50), milliseconds(p99), milliseconds(most)]

export function describePropagation({ spread, refusals, wire, users, idle, cold, verifier, revocations }) {
  const { entries, bytes, documents, first, cpu, seconds, feed, rssBefore, rss } = cold
  return [
    '## Propagation of revocations',
    '',
    `From the 200 of /revoke, as its client reads it, to the event at each listener of the feed: ${count(revocations)} revocations of`,
    'access tokens by turns at two server processes, over which the listeners are spread. One that was heard before the',
    'answer was read counts as 0.',
    '',
    ...table([['listeners', 'p50', 'p99', 'at most'], ...spread.map((each) => [each.listeners, ...delays(each)])]),
    '',
    'From the same 200 to the refusal by `@ostiary/resource-server`: as many verifiers, each with a connection of its own to one of',
    'the two processes, which have all let the token through before, and are asked again and again until they refuse it.',
    '',
    ...table([['verifiers', 'p50', 'p99', 'at most'], ...refusals.map((each) => [each.verifiers, ...delays(each)])]),
    '',
    `A revocation that comes by itself is ${wire.compressed.toFixed(0)} bytes to each listener, ${wire.plain.toFixed(0)} without compression; of many`,
    `together each is ${(feed.bytes / feed.entries).toFixed(1)}. A live one costs a verifier ${(verifier.bytes / verifier.entries).toFixed(0)} bytes of memory.`,
    '',
    'Revoking a user, by the function that `ostiary revoke --user` calls, in the median of 20 times by turns:',
    '',
    ...table([
      ['live tokens', 'took', 'statements'],
      ...users.map(({ tokens, time, statements }) => [count(tokens), milliseconds(time), statements]),
    ]),
    '',
    `A server process uses ${share(idle.alone)} of a core by itself, and ${share(idle.busy)} with 100 listeners that nothing is told (heartbeats`,
    `every 2 s, ${idle.bytes.toFixed(0)} bytes a second to each).`,
    '',
    `A cold start with ${count(entries)} live entries: the snapshot is ${megabytes(bytes)} in ${documents} documents (${(bytes / entries).toFixed(1)} bytes an entry,`,
    `gzip), read in ${seconds.toFixed(1)} s; the first after they were written took ${first.toFixed(1)} s and ${cpu.toFixed(1)} s of the server's CPU, since`,
    `it read them too. The same by the feed: ${megabytes(feed.bytes)} (${(feed.bytes / feed.entries).toFixed(1)} bytes an entry) in ${feed.seconds.toFixed(1)} s. The server process had`,
    `${megabytes(rssBefore)} resident before, and ${megabytes(rss)} after. A verifier that begins with as many is ready after ${verifier.seconds.toFixed(1)} s.`,
  ]
}
