import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { FuzzResult } from './fuzz.js'

const path = fileURLToPath(new URL('../../docs/reliability.md', import.meta.url))
const [begin, end] = ['<!-- fuzz -->', '<!-- /fuzz -->']

/** A run of fewer requests says too little to stand in a document. */
const enough = 100_000

/** Writes the section on bad input of docs/reliability.md anew; the rest of the page is others'. */
export async function writeReport(result: FuzzResult, growthBound: number): Promise<void> {
  if (result.requests < enough) return
  const page = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '# Reliability\n'
    throw error
  })
  await writeFile(path, withSection(page, `${begin}\n${section(result, growthBound)}\n${end}`))
}

/** The page with the section in place of the one that it has, or at its end. */
export function withSection(page: string, section: string): string {
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  if (from < 0 || to < from) return `${page.trimEnd()}\n\n${section}\n`
  return page.slice(0, from) + section + page.slice(to + end.length)
}

export function section({ before, after, answers, ...result }: FuzzResult, growthBound: number): string {
  const megabytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MB`
  const number = (count: number): string => count.toLocaleString('en-US')
  const rows = [
    ['Requests', `${number(result.requests)}, in ${number(result.rounds)} rounds and ${number(result.seconds)} s`],
    ['Seed', String(result.seed)],
    ['Longest answer', `${number(result.longest)} ms (1,000 are allowed)`],
    ['Later than that, while the machine was as slow with everything else', number(result.late)],
    ['Heap after the first round, and at the end', `${megabytes(before.heap)}, ${megabytes(after.heap)}`],
    ['It may grow by', `${megabytes(growthBound)}, however long the run is`],
    ['Resident, likewise', `${megabytes(before.resident)}, ${megabytes(after.resident)} (server, generator and tests)`],
    [
      'Answers of 5xx, hangs, unhandled rejections, secrets told, spent by a refused request',
      String(result.failures.length),
    ],
  ]
  const statuses = Object.entries(answers).map(([status, count]) => `${status}: ${number(count)}`)
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
    `Answers: ${statuses.join(', ')}.`,
  ].join('\n')
}
