// `npm run test:fault`: every fault of test/fault in its long form, one after the other, and docs/reliability.md from what
// came of them. It takes the machine for itself for a while.
//
//   npm run test:fault                            all of it
//   npm run test:fault -- test/fault/x.test.ts    one of them, without the document
//   npm run test:fault -- --row test/fault/x.test.ts   one of them, and its rows in the document beside those that are there
//   npm run test:fault -- --continue              what the last run had not passed, and the document from both
//   OSTIARY_FAULT_SEED=… npm run test:fault       the choices of an earlier run

import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, platform, release, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const page = join(root, 'docs/reliability.md')
const continues = process.argv.includes('--continue')
const addsRows = process.argv.includes('--row')
const chosen = process.argv.slice(2).filter((argument) => !['--continue', '--row'].includes(argument))
/** What came of each file stays here until all of them have passed. */
const state = join(root, '.data/fault')
const seedFile = join(state, 'seed')
const passedFile = join(state, 'passed')
const failedFile = join(state, 'failed')
const files = readdirSync(join(root, 'test/fault'))
  .filter((name) => name.endsWith('.test.ts'))
  .sort()

/** Seconds that one file may take. */
const patience = 1800

function readLines(file) {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
}

function begin() {
  const [known] = continues ? readLines(seedFile) : []
  if (continues && known === undefined) throw new Error('There is no run to go on with.')
  const seed = known ?? process.env.OSTIARY_FAULT_SEED ?? randomBytes(4).toString('hex')
  if (known === undefined) {
    rmSync(state, { recursive: true, force: true })
    mkdirSync(state, { recursive: true })
    writeFileSync(seedFile, seed)
  }
  return seed
}

function runTest(path, results, seed) {
  const child = spawn(process.execPath, [join(root, 'scripts/test.mjs'), '--jobs=1', `--timeout=${patience}`, path], {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      OSTIARY_FAULT_FORM: 'long',
      OSTIARY_FAULT_RESULTS: results,
      OSTIARY_FAULT_SEED: seed,
    },
  })
  // The terminal's own Ctrl-C reaches it as well; a signal to us alone must, too.
  const stop = (signal) => {
    interrupted = true
    child.kill(signal)
  }
  for (const signal of signals) process.on(signal, stop)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      for (const signal of signals) process.off(signal, stop)
      resolve(code === 0)
    })
  })
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
let interrupted = false

/** @returns whether every file has passed */
async function runTests(seed) {
  const passed = readLines(passedFile)
  let good = true
  for (const name of files) {
    if (passed.includes(name) || interrupted) continue
    const results = join(state, name)
    rmSync(results, { recursive: true, force: true })
    mkdirSync(results)
    const passes = await runTest(join('test/fault', name), results, seed)
    writeFileSync(passes ? passedFile : failedFile, `${name}\n`, { flag: 'a' })
    good &&= passes
  }
  return good && !interrupted
}

/** In the order in which they were run. */
function readRows(folders) {
  return folders.flatMap((folder) =>
    readdirSync(folder)
      .sort()
      .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))),
  )
}

const number = (value) => value.toLocaleString('en')
const columns = [
  ['Fault', ({ fault }) => fault],
  ['Rounds', ({ rounds }) => number(rounds)],
  ['Requests', ({ operations }) => number(operations)],
  ['Done and acknowledged', ({ acknowledged }) => number(acknowledged)],
  ['Refused by rule', ({ refused }) => number(refused)],
  ['503 with Retry-After', ({ unavailable }) => number(unavailable)],
  ['Connection broke', ({ unanswered }) => number(unanswered)],
  ['No connection', ({ unreachable }) => number(unreachable)],
  ['Histories', ({ histories }) => number(histories)],
  ['Lost', ({ lost }) => number(lost)],
  ['Doubled', ({ doubled }) => number(doubled)],
]
const cells = (texts) => `| ${texts.join(' | ')} |`
const lineOf = (row) => cells(columns.map(([, value]) => value(row)))
const remarkOf = ({ fault, remark }) => `- ${fault}: ${remark}`
const sumLine = (sum) =>
  `In all: ${number(sum('Requests'))} requests, ${number(sum('Done and acknowledged'))} acknowledged, ${number(sum('Lost'))} lost, ${number(sum('Doubled'))} doubled.`

/** The program that was measured. */
const commit = () => execFileSync('git', ['describe', '--always', '--dirty'], { cwd: root, encoding: 'utf8' }).trim()
const today = () => new Date().toISOString().slice(0, 10)

function documentOf(rows, seed) {
  const sum = (title) => {
    const [, value] = columns.find(([each]) => each === title)
    return rows.reduce((total, row) => total + numberOf(value(row)), 0)
  }
  const remarks = rows.filter(({ remark }) => remark).map(remarkOf)
  const [{ model }] = cpus()
  const gigabytes = Math.round(totalmem() / 2 ** 30)
  const databases = [...new Set(rows.map(({ database }) => database))].join(' and ')
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const repeated = [...new Set(readLines(failedFile))].map((name) => `\`test/fault/${name}\``).join(', ')
  return `# Reliability

What happens to codes, tokens, revocations and counts when something fails. \`npm run test:fault\` writes this page; the same
tests run with every change in a short form.

- ${today()}, Ostiary ${version} at ${commit()}, Node ${process.versions.node}, PostgreSQL ${databases}
- ${availableParallelism()} × ${model.trim()}, ${gigabytes} GB, ${platform()} ${release()} ${arch()}
- seed ${seed}: \`OSTIARY_FAULT_SEED=${seed} npm run test:fault\` makes the same choices again, though not at the same instants${repeated && `\n- had not passed at first, and were run again: ${repeated}`}

${cells(columns.map(([title]) => title))}
${cells(columns.map(([, value]) => (value(rows[0]).match(/^[\d,]+$/) ? '--:' : '---')))}
${rows.map(lineOf).join('\n')}

${sumLine(sum)}
${remarks.length > 0 ? `\n${remarks.join('\n')}\n` : ''}
## How it is measured

Clients log in by password, redeem codes, refresh, revoke, introspect and take tokens of their own over HTTP, each at a pace
drawn from the seed. Some send one code or one token twice at once, some use a spent one as a thief would, and one guesses at
secrets. A client that got no answer to a refresh or a revocation sends the same request again until it has one. (Its
\`refresh_token_retry_window\` is an hour, longer than any fault, but where a row says otherwise; by default it is 10 s.) Each writes down every request, its
answer or that none came, and the times.

When the fault is over, this ledger is held against the server:

- **Lost**: a token that was given and is not good, a revocation that was answered 200 and does not hold at some process, a
  wrong secret that was answered and is not in the count.
- **Doubled**: a code or refresh token that gave tokens twice, two live tokens of one grant, a count that is too high.
- At APIs that \`@ostiary/resource-server\` protects, with a tolerance of 1 s, **lost** is a revoked token that was accepted when
  it was sent more than 1 s after the 200 of its revocation, or a good one that was refused. Half of the tokens are opaque. An
  API that cannot know answers 503 with \`Retry-After\`, or asks the server where it is set to. Without a tolerance, and with
  the feed cut, the same checker must find such tokens of both kinds, and does.
- Of API keys that are shown to APIs and at a gateway, introspected and exchanged, **lost** is one that was accepted when it was
  sent after the end of its overlap or of all keys (at APIs and the gateway, which remember keys: more than 1 s after), or refused
  before.
- Every request must have been answered as the protocol says, or by 503 with \`Retry-After\`, or its connection must have
  broken while the fault lasted. None may hang for 20 s.
- Afterwards requests of every kind must succeed at every process.

The history of each grant, token and count is checked for linearizability: there must be an order of its operations, each
between its request and its answer, in which one at a time would have given the same answers.
${checkersOf(rows)}
`
}

const numberOf = (text) => Number(text.replaceAll(',', ''))

/** The page with these rows in place of those of the same faults, or behind the others. Their remarks say of when they are. */
function withRows(document, rows, seed) {
  const lines = document.split('\n')
  const first = lines.findIndex((line) => line.startsWith('| Fault |')) + 2
  const table = lines.slice(first, lines.indexOf('', first))
  const how = lines.indexOf('## How it is measured')
  const remarks = lines.slice(lines.findIndex((line) => line.startsWith('In all: ')) + 1, how).filter(Boolean)
  const put = (into, beginning, line) => {
    const at = into.findIndex((each) => each.startsWith(beginning))
    into.splice(at < 0 ? into.length : at, at < 0 ? 0 : 1, line)
  }
  for (const row of rows) {
    put(table, `| ${row.fault} |`, lineOf(row))
    const when = `(${today()}, at ${commit()}, seed ${seed}, PostgreSQL ${row.database})`
    put(remarks, `- ${row.fault}: `, `${remarkOf({ remark: '', ...row })} ${when}`)
  }
  const sum = (title) => {
    const column = columns.findIndex(([each]) => each === title)
    return table.reduce((total, line) => total + numberOf(line.split('|')[column + 1]), 0)
  }
  return [...lines.slice(0, first), ...table, '', sumLine(sum), '', ...remarks, '', ...lines.slice(how)].join('\n')
}

function checkersOf(rows) {
  const both = rows.filter(({ histories }) => histories > 0).every(({ porcupine }) => porcupine)
  const own = 'An exhaustive search in `test/fault/support/linearizability.ts` does it'
  return both
    ? `${own}, and so does porcupine,\na checker that is not ours. Both are tested on histories that must fail.`
    : `${own}.\nIt is tested on histories that must fail. Go was not there, so porcupine was not asked.`
}

/** What `npm run fuzz` wrote into the page stays. */
function sectionOfFuzz() {
  const [section] = existsSync(page)
    ? (/<!-- fuzz -->.*<!-- \/fuzz -->\n?/s.exec(readFileSync(page, 'utf8')) ?? [])
    : []
  return section === undefined ? '' : `\n${section}`
}

async function runAll() {
  const seed = begin()
  console.log(`seed ${seed}`)
  if (!(await runTests(seed))) {
    console.log('Once that is mended: npm run test:fault -- --continue')
    return 1
  }
  writeFileSync(
    page,
    `${documentOf(readRows(files.map((name) => join(state, name)).filter(existsSync)), seed)}${sectionOfFuzz()}`,
  )
  rmSync(state, { recursive: true })
  console.log('docs/reliability.md is written.')
  return 0
}

/** Nothing of it stays but, where that is wanted, its rows. */
async function runChosen() {
  const results = mkdtempSync(join(tmpdir(), 'ostiary-fault-'))
  try {
    const seed = process.env.OSTIARY_FAULT_SEED ?? randomBytes(4).toString('hex')
    let good = true
    for (const path of chosen) good = (await runTest(path, results, seed)) && good
    const rows = readRows([results])
    for (const row of rows) console.log(JSON.stringify(row))
    if (good && addsRows) writeFileSync(page, withRows(readFileSync(page, 'utf8'), rows, seed))
    return good ? 0 : 1
  } finally {
    rmSync(results, { recursive: true, force: true })
  }
}

process.exitCode = chosen.length > 0 ? await runChosen() : await runAll()
