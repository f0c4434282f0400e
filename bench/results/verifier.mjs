// What an API installs, beside what else there is.

import { ratioOf } from './ratio.mjs'
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

/** Of an API key that the package remembers, to its introspection. Undefined where an older run measured none. */
export const keyGoal = 5

export function keyRatio({ keys }) {
  return keys && ratioOf(keys[1], keys[0])
}

export function describeVerifiers({ rounds, measured, keys }) {
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
    ...(keys ? describeKeys(keys) : []),
  ]
}

function describeKeys(keys) {
  const [alone] = keys
  const rows = keys.map((each) => [
    each.name === 'ostiary' ? '`@ostiary/resource-server`, warm' : 'introspection each time',
    `${count(each.rate)} (${count(each.least)} to ${count(each.most)})`,
    each.cpu.toFixed(1),
    ratioOf(each, alone).toFixed(1),
  ])
  const lead = 'A thousand keys of the same server, in turn. What is made up must be refused before it is measured.'
  return ['', '### API keys', '', lead, '', ...table([['', 'keys/s', 'CPU µs/key', 'of introspection'], ...rows])]
}
