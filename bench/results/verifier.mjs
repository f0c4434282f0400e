// What an API installs, beside what else there is.

import { count, table } from './text.mjs'

/** Of a bare `jwtVerify` with a cached key, by ES256: at first sight, and for a token that was seen before. */
export const verifierGoals = { first: 0.9, seen: 5 }

export function verifierRatio(verifier, job) {
  const [ceiling] = verifier.measured.find((each) => each.alg === 'ES256' && each.job === 'first').candidates
  const ours = verifier.measured
    .find((each) => each.alg === 'ES256' && each.job === job)
    .candidates.find(({ name }) => name === 'ostiary')
  return ours.rate / ceiling.rate
}

export function describeVerifiers({ rounds, measured }) {
  const sections = measured.flatMap(({ alg, job, candidates }) => {
    const first = measured.find((each) => each.alg === alg && each.job === 'first').candidates[0]
    const rows = candidates.map(({ name, rate, least, most, cpu }) => [
      name === 'jose'
        ? 'bare jose: `jwtVerify`, cached key'
        : name === 'ostiary'
          ? '`@ostiary/resource-server`'
          : `\`${name}\``,
      `${count(rate)} (${count(least)} to ${count(most)})`,
      cpu.toFixed(1),
      (rate / first.rate).toFixed(2),
    ])
    return [
      '',
      `### ${alg}, ${job === 'first' ? 'at first sight' : 'seen before'}`,
      '',
      ...table([['', 'tokens/s', 'CPU µs/token', 'of the bare one at first sight'], ...rows]),
    ]
  })
  return [
    '## What an API installs',
    '',
    'Access tokens as the server makes them, verified in a process of its own on one core, 16 under way at once. For the package that',
    'is a whole check of a request: header, token, revocation, by the feed of a running server that it follows. `@okta/jwt-verifier` takes RS256 alone; `fast-jwt` remembers tokens where',
    `it is told to, the other peers do not. Medians of ${rounds} rounds. Before it is measured, each must refuse a forged token.`,
    ...sections,
  ]
}
