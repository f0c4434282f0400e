// `npm test`: runs tap on one PostgreSQL for all files, and ends with `N passed, N failed, N skipped`.
//
//   npm test                        everything
//   npm test -- test/unit           a folder, or files, or any option of `tap run`
//   TEST_DATABASE_URL=… npm test    on that PostgreSQL, whose user may create databases, instead of the embedded one

import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { register } from 'tsx/esm/api'
import { isBuilt } from './is-built.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)

/** The database is stopped and its folder removed, whatever happens. */
const cleanups = []

/** Set by the first signal. From then on nothing new begins. */
let interrupted = false
let interruptTap = () => undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted = true
    interruptTap()
  })
}

/** Tests of the start run dist/, as a user does: what `npm ci` built, unless a source was changed since. */
function buildWhereStale() {
  if (isBuilt(root)) return
  console.log('dist/ is older than src/: building')
  execFileSync(process.execPath, [join(root, 'scripts/build.mjs')], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

async function preparePostgres() {
  register()
  const { ensureTemplate, openTestPostgres } = await import('../test/support/test-postgres.ts')
  const other = process.env.TEST_DATABASE_URL
  if (other) return { url: other, template: await ensureTemplate(other) }

  const folder = join(tmpdir(), `ostiary-test-${randomBytes(8).toString('hex')}`)
  mkdirSync(folder, { mode: 0o700 })
  // As root PostgreSQL runs under an account that must pass this folder; what is in it stays private.
  if (process.geteuid?.() === 0) chmodSync(folder, 0o711)
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  const postgres = await openTestPostgres(folder)
  cleanups.push(postgres.stop)
  return postgres
}

/** tap takes files and patterns; a folder stands for all tests in it. */
function pattern(argument) {
  if (argument.startsWith('-') || !existsSync(argument) || !statSync(argument).isDirectory()) return argument
  return `${argument.replaceAll('\\', '/').replace(/\/+$/, '')}/**/*.test.{ts,tsx}`
}

function tapCommand() {
  const manifest = require.resolve('tap/package.json')
  const { bin } = JSON.parse(readFileSync(manifest, 'utf8'))
  return join(dirname(manifest), typeof bin === 'string' ? bin : bin.tap)
}

/**
 * Runs tap and prints, as soon as a file is through, one line for it, what failed in it and what was skipped. tap's own
 * reporters draw on a terminal, and a log file is none.
 */
function runTap(args, environment) {
  const child = spawn(process.execPath, [tapCommand(), 'run', '--reporter=tap', ...args], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: process.platform !== 'win32',
  })
  // A group of its own, so that a signal reaches each test file once, and none that hangs survives the run.
  const signalAll = (signal) => {
    try {
      process.kill(process.platform === 'win32' ? child.pid : -child.pid, signal)
    } catch {
      // It has ended.
    }
  }
  interruptTap = () => {
    signalAll('SIGINT')
    setTimeout(() => signalAll('SIGKILL'), 3_000).unref()
  }

  let totals
  const skipped = []
  let lines = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    const file = /^(not )?ok \d+ - (.*?)(?: # time=(\d+).*)?$/.exec(line)
    const summary = /^# (\{ total: .* \})$/.exec(line)
    if (summary) {
      const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(summary[1])?.[1] ?? 0)
      totals = { passed: count('pass'), failed: count('fail'), skipped: count('skip') + count('todo') }
    } else if (file) {
      const [, failed, name, milliseconds] = file
      console.log(`${failed ? '✗' : '✓'} ${name}${milliseconds ? ` (${(milliseconds / 1000).toFixed(1)} s)` : ''}`)
      if (failed) console.log(failuresIn(lines).join('\n'))
      skipped.push(...skipsIn(lines).map((skip) => `${name}: ${skip}`))
      lines = []
    } else if (/^ {2}\S/.test(line)) {
      // About a file as a whole: how its process ended.
      if (/^ {2}(exitCode|signal|failure|timeout|expired|error|message|reason):/.test(line)) console.log(`  ${line}`)
    } else {
      lines.push(line)
    }
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ status: signal ? 1 : code, totals, skipped }))
  })
}

/** Without what passed: points that are ok, their diagnostics, and the plans and headings of groups. */
function failuresIn(lines) {
  let inDiagnostics = false
  let afterFailure = false
  return lines.filter((line) => {
    if (inDiagnostics) {
      if (/^\s*\.\.\.$/.test(line)) inDiagnostics = false
      return afterFailure
    }
    if (/^\s*---$/.test(line)) {
      inDiagnostics = true
      return afterFailure
    }
    const point = /^\s*(not )?ok \d+/.exec(line)
    if (point) afterFailure = point[1] !== undefined && !/ # (SKIP|TODO)/i.test(line)
    if (point) return afterFailure
    return !/^\s*(1\.\.\d+.*|# time=.*|# Subtest.*|TAP version.*)?$/.test(line)
  })
}

function skipsIn(lines) {
  return lines.flatMap((line) => {
    const [, title, reason] = /^\s*ok \d+ - (.*?) # (?:SKIP|TODO)\s*(.*)$/i.exec(line) ?? []
    return title === undefined ? [] : [reason ? `${title} (${reason})` : title]
  })
}

let status = 1
let totals = { passed: 0, failed: 1, skipped: 0 }
try {
  buildWhereStale()
  const { url, template } = await preparePostgres()
  if (interrupted) throw new Error('Interrupted before the first test.')
  const args = process.argv.slice(2).map(pattern)
  const result = await runTap([`--jobs=${availableParallelism()}`, ...args], {
    OSTIARY_TEST_SERVER: url,
    OSTIARY_TEST_TEMPLATE: template,
  })
  status = result.status ?? 1
  if (result.totals) totals = result.totals
  else console.error(interrupted ? 'Interrupted.' : 'tap ended without its totals.')
  if (result.skipped.length > 0) console.log(`\nSkipped:\n  ${result.skipped.join('\n  ')}`)
} catch (error) {
  console.error(error)
} finally {
  for (const cleanup of cleanups.reverse()) {
    await Promise.resolve()
      .then(cleanup)
      .catch((error) => {
        status ||= 1
        console.error(error)
      })
  }
}
if (totals.failed > 0) status ||= 1
console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
process.exitCode = status
