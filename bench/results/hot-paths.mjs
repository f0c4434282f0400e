// The hot paths beside their ceilings.

import { judgeRatio, peerRatio } from './goals.mjs'
import { ratioOf } from './ratio.mjs'
import { percent, rateCells, rateHead, table } from './text.mjs'

export function describeHotPaths({ rounds, seconds, scenarios }) {
  const lines = [
    '## The hot paths',
    '',
    `${rounds} interleaved rounds of ${seconds} s, each after a warm-up. req/s is the median of the rounds (least to most);`,
    'p50, p99 and CPU are medians of the rounds. CPU is that of the server process alone; "core" is how much of one core it',
    'used, "load" the same of the process that sends: where the server was well below 100 %, something else was the limit',
    '(the load, or PostgreSQL beside it), and CPU per request says more than req/s. Every answer had the status and the',
    'shape that it must have, and of tokens every tenth was verified by jose. Ratios are the medians of those round by round.',
  ]
  for (const { name, ceiling: about, connections, candidates } of scenarios) {
    const [ceiling] = candidates
    const head = ['', ...rateHead, 'load', 'RSS MB', 'of the ceiling', 'CPU of the ceiling', 'goal', 'verified']
    const rows = candidates.map((candidate) => {
      const ratio = ratioOf(candidate, ceiling)
      const verdict = judgeRatio(candidate, ratio)
      return [
        candidate.name,
        ...rateCells(candidate),
        percent(candidate.busy),
        (candidate.rss / 1e6).toFixed(0),
        ratio.toFixed(2),
        (ceiling.cpu / candidate.cpu).toFixed(2),
        verdict === undefined ? '' : `${candidate.goal} ${verdict}`,
        candidate.verified || '',
      ]
    })
    lines.push(
      '',
      `### ${name}`,
      '',
      `${connections} connections. The ceiling: ${about}`,
      '',
      ...table([head, ...rows]),
    )
    const { times } = peerRatio({ candidates })
    if (times) lines.push('', `Ostiary does ${times.toFixed(1)} times what oidc-provider does.`)
  }
  return lines
}
