import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

const root = fileURLToPath(new URL('../../..', import.meta.url))

export type Release =
  | { readonly main: string; readonly commit: string; readonly skipped?: undefined }
  | { readonly main?: undefined; readonly skipped: string }

/**
 * The release before this one, built beside it: the last commit without the newest migration whose own are the first of
 * those here (one that was changed, or came late, before a release was nobody's), or, where there is one migration alone, the commit before
 * this one. It runs on the packages that are installed here.
 */
export function buildPreviousRelease(t: Test): Release {
  const commit = previousCommit()
  if (commit === undefined) return { skipped: 'there is no commit before this one here' }
  const folder = mkdtempSync(join(tmpdir(), 'ostiary-release-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const archive = execFileSync('git', ['archive', commit], { cwd: root, maxBuffer: 256 * 1024 * 1024 })
  execFileSync('tar', ['-x', '-C', folder], { input: archive })
  const packages = join(root, 'node_modules')
  symlinkSync(packages, join(folder, 'node_modules'))
  const run = (script: string, ...args: readonly string[]): void => {
    execFileSync(process.execPath, [join(packages, script), ...args], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
      // As scripts/build.mjs: generating runs no engine, it only wants the name of one that exists.
      env: { ...process.env, NODE_OPTIONS: '', PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' },
    })
  }
  run('prisma/build/index.js', 'generate')
  run('typescript/bin/tsc', '--project', 'tsconfig.json')
  return { main: join(folder, 'dist/main.js'), commit }
}

function previousCommit(): string | undefined {
  const git = (...args: readonly string[]): string | undefined => {
    try {
      return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    } catch {
      return undefined
    }
  }
  // A folder that is not the root of a repository is a copy in somebody else's.
  if (git('rev-parse', '--show-prefix') !== '') return undefined
  const migrations = readdirSync(join(root, 'prisma/migrations'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort()
  if (migrations.length < 2) return git('rev-parse', '--verify', '--quiet', 'HEAD^') || undefined
  const newest = `prisma/migrations/${migrations.at(-1)}`
  const added = git('log', '-1', '--format=%H', '--diff-filter=A', '--', newest) || 'HEAD'
  const files = (commit: string) => git('ls-tree', '-r', commit, 'prisma/migrations/')?.match(/^.*\.sql$/gm) ?? []
  const here = files('HEAD')
  const before = git('log', '-200', '--format=%H', `${added}^`)?.split('\n') ?? []
  return before.find((commit) => commit !== '' && files(commit).every((file, index) => file === here[index]))
}
