// Where the time goes.

import { percent, table } from './text.mjs'

export function describeProfiles({ seconds, profiles }) {
  const lines = [
    '## Where the time goes',
    '',
    `By \`npm run bench -- --profile\`: each hot path for ${seconds} s under V8's sampling profiler (the one of \`node --cpu-prof\`), begun`,
    'when everything was warm. Self time of the main thread, as a share of the time in which it was not idle. What is built',
    'in counts for whoever called it; "native" is the time that V8 spends outside of JavaScript: reading and writing',
    'sockets, the event loop. Hashing of passwords runs on other threads and is not in it.',
  ]
  for (const { name, busy, cpu, core, parts, functions } of profiles) {
    lines.push(
      '',
      `### ${name}`,
      '',
      `${cpu.toFixed(0)} µs of CPU a request; the main thread was busy for ${percent(busy)} of the time, the process for ${percent(core)} of a core.`,
      '',
      ...table([['part', 'self time'], ...parts.map((part) => [part.name, percent(part.share)])]),
      '',
      'Above 5 %:',
      '',
      ...functions.map((each) => `- ${percent(each.share)} ${each.name}`),
    )
  }
  return lines
}
