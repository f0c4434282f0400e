// Every goal with what was measured: met, missed, or why neither can be said.

import { ratioOf } from './ratio.mjs'
import { reasonOf } from './reasons.mjs'
import { count, megabytes, milliseconds, table } from './text.mjs'
import { keyGoal, keyRatio, verifierGoals, verifierRatio } from './verifier.mjs'

/** What is above its ceiling by more than noise proves that the ceiling is none, and nothing else. */
const ceilingTooLow = 1.05

export function describeGoals(results) {
  const goals = [
    ...hotGoals(results.hot),
    ...loginGoals(results.logins),
    ...startGoals(results.start),
    ...growthGoals(results.growth),
    ...verifierGoalsOf(results.verifier),
    ...propagationGoals(results.propagation),
  ]
  if (goals.length === 0) return ['None of them was measured in this run.']
  const missed = goals.filter(({ verdict }) => verdict !== 'met').length
  const sum = `${goals.length - missed} of ${goals.length} are met.`
  const rows = goals.map(({ what, goal, measured, verdict }) => [
    what,
    goal,
    measured,
    verdict === 'met' ? 'met' : `**${verdict}**`,
  ])
  const reasons = goals
    .filter(({ verdict }) => verdict === 'missed')
    .map(({ what, goal, why }) => [what, goal, why && reasonOf(...why, results)])
    .filter(([, , reason]) => reason !== undefined)
    .map(([what, goal, reason]) => `- ${what}, ${goal}: ${reason}`)
  const head = ['what', 'goal', 'measured', '']
  return [
    sum,
    '',
    ...table([head, ...rows]),
    ...(reasons.length > 0 ? ['', 'What is missed, and why:', '', ...reasons] : []),
  ]
}

const judge = (met) => (met ? 'met' : 'missed')

/** The line of a hot path's table and of the goals: the same verdict. */
export function judgeRatio({ goal }, ratio) {
  if (goal === undefined) return undefined
  return ratio > ceilingTooLow ? 'not judged: the ceiling is too low' : judge(ratio >= goal)
}

function hotGoals(hot) {
  return (hot?.scenarios ?? []).flatMap(({ name, peerGoal, candidates }) => {
    const [ceiling] = candidates
    const judged = candidates
      .filter(({ goal }) => goal !== undefined)
      .map((candidate) => {
        const ratio = ratioOf(candidate, ceiling)
        const what = candidate.name === 'Ostiary' ? name : `${name}: ${candidate.name.replace('Ostiary, ', '')}`
        return {
          what,
          goal: `≥ ${candidate.goal} of the ceiling`,
          measured: `${ratio.toFixed(2)} (${count(candidate.rate)} of ${count(ceiling.rate)}/s)`,
          verdict: judgeRatio(candidate, ratio),
          why: ['ceiling', { scenario: name, candidate, ceiling }],
        }
      })
    const besides = candidates
      .filter(({ beside }) => beside)
      .map((candidate) => besideGoal(name, candidates, candidate))
    const { times, peer, ours } = peerRatio({ candidates })
    if (!peer || peerGoal === undefined) return [...judged, ...besides]
    const measured = `${times.toFixed(1)} times (its ${count(peer.rate)}/s)`
    return [
      ...judged,
      ...besides,
      {
        what: name,
        goal: `≥ ${peerGoal} times oidc-provider`,
        measured,
        verdict: judge(times >= peerGoal),
        why: ['peer', { ceiling, peer, ours }],
      },
    ]
  })
}

function besideGoal(scenario, candidates, candidate) {
  const { name, goal } = candidate.beside
  const other = candidates.find((each) => each.name === name)
  const ratio = ratioOf(candidate, other)
  return {
    what: `${scenario}: ${candidate.name.replace('Ostiary, ', '')}`,
    goal: `≥ ${goal} of the same without`,
    measured: `${ratio.toFixed(2)} (${count(candidate.rate)} of ${count(other.rate)}/s)`,
    verdict: judge(ratio >= goal),
    why: ['beside', { candidate, other }],
  }
}

export function peerRatio({ candidates }) {
  const peer = candidates.find(({ server }) => server === 'oidc-provider')
  const ours = candidates.find(({ server }) => server === 'ostiary')
  return { peer, ours, times: peer && ratioOf(ours, peer) }
}

function loginGoals(logins) {
  return (logins?.measured ?? []).map(({ processes, idle, beside, ratio, busy }) => ({
    what: `p99 of /token at ${count(logins.tokenRate)}/s while ${logins.loginRate} logins/s arrive, PROCESSES=${processes}`,
    goal: '≤ 2 times its idle value',
    measured: `${ratio.toFixed(1)} times (${milliseconds(beside)} of ${milliseconds(idle)})`,
    verdict: judge(ratio <= 2),
    why: ['logins', { idle, beside, busy }],
  }))
}

function startGoals(start) {
  if (!start) return []
  const { starts, memory } = start
  const ready = Object.entries(starts).map(([which, { median }]) => ({
    what: `ready on an existing database, ${which} PostgreSQL`,
    goal: '< 1 s',
    measured: `${count(median)} ms`,
    verdict: judge(median < 1_000),
  }))
  const idle = Math.max(...Object.values(starts).map(({ idleRss }) => idleRss))
  return [
    ...ready,
    {
      what: 'the Node process, idle',
      goal: '≤ 180 MB resident',
      measured: megabytes(idle),
      verdict: judge(idle <= 180e6),
    },
    {
      what: `the Node process over ${Math.round(memory.seconds / 60)} minutes of load`,
      goal: '≤ 300 MB resident',
      measured: `${megabytes(memory.last)}, at most ${megabytes(memory.most)}`,
      verdict: judge(memory.most <= 300e6),
      why: ['memory', { idle, minutes: memory.minutes }],
    },
    {
      what: 'the same after the first minute',
      goal: 'flat (at most 2 MB a minute)',
      measured: `${(memory.slope / 1e6).toFixed(1)} MB a minute`,
      verdict: judge(memory.slope <= 2e6),
      why: ['memory', { idle, minutes: memory.minutes }],
    },
  ]
}

function growthGoals(growth) {
  if (!growth) return []
  const { measured, dropped } = growth
  const paths = measured.map(({ name, goal, candidates: [empty, grown] }) => ({
    what: `${name} with ${count(growth.count.tokens)} refresh tokens`,
    goal: `≥ ${goal} of the empty database`,
    measured: ratioOf(grown, empty).toFixed(2),
    verdict: judge(ratioOf(grown, empty) >= goal),
    why: ['growth', { empty, grown }],
  }))
  return [
    ...paths,
    {
      what: `expired partitions dropped under load (${(dropped.bytes / 1e9).toFixed(1)} GB)`,
      goal: '< 1 s',
      measured: milliseconds(dropped.took),
      verdict: judge(dropped.took < 1_000),
      why: ['dropped', dropped],
    },
    {
      what: 'the slowest request while they are',
      goal: '≤ 100 ms',
      measured: dropped.slowestDuring === 0 ? 'below 50 ms' : milliseconds(dropped.slowestDuring),
      verdict: judge(dropped.slowestDuring <= 100),
      why: ['slowest', dropped],
    },
  ]
}

function verifierGoalsOf(verifier) {
  if (!verifier) return []
  const titles = { first: 'a token at first sight, in an API', seen: 'a token seen before, in an API' }
  const ratioOfKeys = keyRatio(verifier)
  const keys = ratioOfKeys && {
    what: 'an API key that is remembered, in an API',
    goal: `≥ ${keyGoal} of its introspection`,
    measured: ratioOfKeys.toFixed(ratioOfKeys < 10 ? 2 : 0),
    verdict: judge(ratioOfKeys >= keyGoal),
  }
  const tokens = Object.entries(verifierGoals).map(([job, goal]) => {
    const ratio = verifierRatio(verifier, job)
    const measured = ratio.toFixed(ratio < 10 ? 2 : 0)
    return { what: titles[job], goal: `≥ ${goal} of a bare jwtVerify`, measured, verdict: judge(ratio >= goal) }
  })
  return keys ? [...tokens, keys] : tokens
}

function propagationGoals(propagation) {
  if (!propagation) return []
  const { spread, refusals, users, idle } = propagation
  const [few, many] = users
  return [
    ...spread.map(({ listeners, p99 }) => ({
      what: `from the 200 of /revoke to the event, ${listeners} listeners, p99`,
      goal: '< 250 ms',
      measured: milliseconds(p99),
      verdict: judge(p99 < 250),
    })),
    ...refusals.map(({ verifiers, p99 }) => ({
      what: `from the 200 of /revoke to the refusal, ${verifiers} ${verifiers === 1 ? 'verifier' : 'verifiers'}, p99`,
      goal: '< 250 ms',
      measured: milliseconds(p99),
      verdict: judge(p99 < 250),
    })),
    {
      what: `revoking a user with ${count(many.tokens)} live tokens`,
      goal: 'the same statements as with one, and ≤ 2 times the time',
      measured: `${many.statements} and ${few.statements}, ${(many.time / few.time).toFixed(1)} times`,
      verdict: judge(many.statements === few.statements && many.time <= 2 * few.time),
    },
    {
      what: '100 idle listeners',
      goal: '< 2 % of a core',
      measured: `${((idle.busy - idle.alone) * 100).toFixed(2)} %`,
      verdict: judge(idle.busy - idle.alone < 0.02),
    },
  ]
}
