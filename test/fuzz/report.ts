import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { processDistance } from './processes.js'
import { type FuzzResult, inTurn, type Runs } from './result.js'

const path = fileURLToPath(new URL('../../docs/reliability.md', import.meta.url))
const [begin, end] = ['<!-- fuzz -->', '<!-- /fuzz -->']
/** The same in full, for whoever goes on with it; the page does not show it. */
const remembered = /^<!-- runs (.*) -->$/m

/** Fewer requests say too little to stand in a document. */
const enough = 100_000

/** The runs that the page is about. */
export async function reportedRuns(): Promise<readonly FuzzResult[]> {
  return runsIn(await readPage())
}

export function runsIn(page: string): readonly FuzzResult[] {
  const [, runs = '[]'] = remembered.exec(page) ?? []
  return JSON.parse(runs)
}

/** Any number; after others, one whose rounds are none of theirs. */
export function nextSeed(earlier: readonly FuzzResult[]): number {
  const last = earlier.at(-1)
  return last ? last.seed + last.processes * processDistance : Math.floor(Math.random() * 2 ** 27)
}

/** Writes the section on bad input of docs/reliability.md anew; the rest of the page is others'. */
export async function writeReport(runs: Runs, growthBound: number): Promise<void> {
  if (inTurn(runs).requests < enough) return
  await writeFile(path, withSection(await readPage(), `${begin}\n${section(runs, growthBound)}\n${end}`))
}

async function readPage(): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '# Reliability\n'
    throw error
  })
}

/** The page with the section in place of the one that it has, or at its end. */
export function withSection(page: string, section: string): string {
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  if (from < 0 || to < from) return `${page.trimEnd()}\n\n${section}\n`
  return page.slice(0, from) + section + page.slice(to + end.length)
}

const megabytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MB`
const number = (count: number): string => count.toLocaleString('en-US')

function list(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name}: ${number(count)}`)
    .join(', ')
}

export function section(runs: Runs, growthBound: number): string {
  const result = inTurn(runs)
  const { before, after, rounds, seconds, processes } = result
  const rows = [
    ['Requests', `${number(result.requests)}, in ${number(rounds)} rounds and ${number(seconds)} s`],
    ['Processes, each with a server, a database and seeds of its own', number(processes)],
    runs.length === 1
      ? ['Seed', String(result.seed)]
      : ['Seeds of the runs, one after another', runs.map(({ seed }) => seed).join(', ')],
    ['Longest answer', `${number(result.longest)} ms (1,000 are allowed)`],
    [
      'Later than that, beside others on a busy machine, and in time when asked for alone',
      result.late === 0 ? '0' : `${number(result.late)}, the longest ${number(result.latest)} ms`,
    ],
    ['Heap of a process after the first round, and at the end', `${megabytes(before.heap)}, ${megabytes(after.heap)}`],
    ['It may grow by', `${megabytes(growthBound)}, however long the run is`],
    ['Resident, likewise', `${megabytes(before.resident)}, ${megabytes(after.resident)} (server, generator and tests)`],
    [
      'Answers of 5xx, hangs, unhandled rejections, secrets told, spent by a refused request',
      String(result.failures.length),
    ],
  ]
  return [
    '## Bad input',
    '',
    '`npm run fuzz` sends requests that are right but for one to twelve things (parameters, encodings, headers, cookies,',
    'credentials, tokens with flipped bits, other methods and paths), bytes that are no HTTP over connections of their own,',
    "clients' metadata of any shape, and sequences of right and wrong requests about one code and its tokens, of which a",
    'model says what each must do.',
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([name, value]) => `| ${name} | ${value} |`),
    '',
    `Answers: ${list(result.answers)}.`,
    '',
    'What the run was made of:',
    '',
    `- Sent by part: ${list(result.parts)}.`,
    `- Requests that something was done to: ${list(result.recipes)}.`,
    `- What was done to them: ${list(result.mutations)}.`,
    '',
    // What failed holds what was sent, which must not end the comment.
    `<!-- runs ${JSON.stringify(runs).replaceAll('>', '\\u003e')} -->`,
  ].join('\n')
}
