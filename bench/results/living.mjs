// Tokens while users sign in; start and memory.

import { count, megabytes, milliseconds, percent, table } from './text.mjs'

export function describeBesideLogins({ tokenRate, loginRate, seconds, measured }) {
  const rows = measured.map(({ processes, idle, beside, ratio, login50, login99, busy, turns }) => [
    `PROCESSES=${processes}`,
    milliseconds(idle),
    milliseconds(beside),
    ratio.toFixed(1),
    turns.map((turn) => (turn.beside / turn.idle).toFixed(1)).join(', '),
    milliseconds(login50),
    milliseconds(login99),
    percent(busy),
  ])
  return [
    '## Tokens while users sign in',
    '',
    `\`node dist/main.js start\` on two cores, which PostgreSQL and the load share: client_credentials at ${count(tokenRate)} a`,
    `second, alone and beside ${loginRate} logins a second (each as a browser does it: /authorize, the login page, its form).`,
    'Requests are sent at their time whether or not earlier ones were answered, and a latency counts from that time.',
    `Medians of ${measured[0].turns.length} rounds of ${seconds} s each.`,
    '',
    ...table([
      ['', 'p99 alone', 'p99 beside logins', 'ratio', 'of each round', 'login p50', 'login p99', 'load, of a core'],
      ...rows,
    ]),
  ]
}

export function describeStartAndMemory({ starts, memory, idleTime }) {
  const startRows = Object.entries(starts).map(([which, { median, least, most, idleRss }]) => [
    `${which} PostgreSQL`,
    `${count(median)} ms (${count(least)} to ${count(most)})`,
    megabytes(idleRss),
  ])
  const minuteRows = memory.minutes.map(({ minute, rss, postgres }) => [
    minute,
    megabytes(rss),
    postgres === undefined ? 'unknown' : megabytes(postgres),
  ])
  return [
    '## Start and memory',
    '',
    'From the spawn of `node dist/main.js start`, which is what `npm start` runs, to the first 200 of /readyz, on a database',
    `that an earlier start made; on both cores. Idle: what the Node process has resident ${idleTime} s later.`,
    '',
    ...table([['', 'ready after (median of 5)', 'idle'], ...startRows]),
    '',
    `Under load for ${Math.round(memory.seconds)} s (client_credentials, rotation, introspection, logins and metadata in turn, ${count(memory.requests)}`,
    'requests). PostgreSQL, a server of its own here, is the sum of the proportional set size of its processes.',
    '',
    ...table([['minute', 'Node process', 'PostgreSQL'], ...minuteRows]),
    '',
    `At most ${megabytes(memory.most)}; after the first minute ${(memory.slope / 1e6).toFixed(1)} MB a minute, by the line through ${memory.samples} samples.`,
  ]
}
