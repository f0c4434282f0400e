// bench/RESULTS.md.

import { cpus, release, totalmem } from 'node:os'

/** @param measured per scenario: its name, and its candidates with their `rounds` */
export function describeResults(measured, { pinned, seconds, rounds, connections, versions }) {
  const [cpu] = cpus()
  const lines = [
    '# Results of the last run',
    '',
    `Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC. Ratios carry over to`,
    'other machines, absolute figures do not.',
    '',
    `- ${cpu?.model ?? 'unknown processor'}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB, ${process.platform} ${release()}`,
    `- Node ${process.versions.node}, PostgreSQL ${measured[0].postgres} with fsync and synchronous_commit on`,
    `- ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    pinned
      ? '- server on core 0; load and PostgreSQL share core 1'
      : '- nothing is pinned to a core: there is no `taskset`, or only one core',
    `- ${connections} connections; ${rounds} interleaved rounds of ${seconds} s, after a warm-up of 2 s`,
    '',
    'req/s is the median of the rounds (least to most); p50, p99 and CPU are medians of the rounds. CPU is that of the',
    'server process alone; "core" is how much of one core it used, "load" the same of the process that sends: where the',
    'server was well below 100 %, something else was the limit (the load, or PostgreSQL beside it), and CPU per request',
    'says more than req/s. Every answer was 2xx and as expected, and every tenth token was verified by jose.',
  ]
  for (const { name, candidates } of measured) {
    const [ceiling] = candidates
    lines.push(
      '',
      `## ${name}`,
      '',
      '| | req/s | p50 ms | p99 ms | CPU µs/request | core | load | RSS MB | of the ceiling | CPU of the ceiling | goal | verified |',
      '|---|---|---|---|---|---|---|---|---|---|---|---|',
    )
    for (const candidate of candidates) {
      const ratio = rateOf(candidate) / rateOf(ceiling)
      const cells = [
        candidate.name,
        `${count(rateOf(candidate))} (${count(least(candidate))} to ${count(most(candidate))})`,
        of(candidate, 'p50').toFixed(1),
        of(candidate, 'p99').toFixed(1),
        of(candidate, 'cpu').toFixed(0),
        `${(of(candidate, 'core') * 100).toFixed(0)} %`,
        `${(of(candidate, 'busy') * 100).toFixed(0)} %`,
        (Math.max(...candidate.rounds.map(({ rss }) => rss)) / 1e6).toFixed(0),
        ratio.toFixed(2),
        (of(ceiling, 'cpu') / of(candidate, 'cpu')).toFixed(2),
        verdict(candidate, ratio),
        candidate.rounds.reduce((sum, { verified }) => sum + verified, 0) || '',
      ]
      lines.push(`| ${cells.join(' | ')} |`)
    }
    const peer = candidates.find(({ server }) => server === 'oidc-provider')
    const ours = candidates.find(({ server }) => server === 'ostiary')
    if (peer) lines.push('', `Ostiary is ${(rateOf(ours) / rateOf(peer)).toFixed(1)} times the peer (goal: 4).`)
  }
  return `${lines.join('\n')}\n`
}

/** What is above its ceiling proves that the ceiling is none, and nothing else. */
function verdict({ goal }, ratio) {
  if (goal === undefined) return ''
  if (ratio > 1.05) return `${goal} not judged: the ceiling is too low`
  return `${goal} ${ratio >= goal ? 'met' : 'missed'}`
}

const of = ({ rounds }, field) => rounds.map((round) => round[field]).sort((a, b) => a - b)[rounds.length >> 1]
const rateOf = (candidate) => of(candidate, 'rate')
const least = ({ rounds }) => Math.min(...rounds.map(({ rate }) => rate))
const most = ({ rounds }) => Math.max(...rounds.map(({ rate }) => rate))
const count = (value) => Math.round(value).toLocaleString('en')
