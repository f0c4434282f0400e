import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t from 'tap'
import { requireBuild } from '../support/process.js'

// The package as an API has it: packed, unpacked where nothing of this repository is near, and used by its names.

t.setTimeout(3 * 60_000)

const root = fileURLToPath(new URL('../..', import.meta.url))
const name = '@ostiary/resource-server'
/** A symbolic link in the way, as macOS has one, would make two addresses of one file. */
const home = await realpath(await mkdtemp(join(tmpdir(), 'ostiary-package-')))
const installed = join(home, 'node_modules', name)
t.teardown(() => rm(home, { recursive: true, force: true }))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** By nothing of this process's environment but what finds programs. */
async function run(program: string, args: readonly string[], cwd = home): Promise<Ended> {
  const child = spawn(program, args, {
    cwd,
    env: { PATH: process.env['PATH'], HOME: home, npm_config_cache: join(home, 'cache'), npm_config_offline: 'true' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const code = await new Promise<number | null>((resolve, reject) => child.once('close', resolve).once('error', reject))
  return { code, stdout, stderr }
}

const node = (...args: readonly string[]): Promise<Ended> => run(process.execPath, args)

/** Of npm that runs this test, or else the one that is found. */
function npm(...args: readonly string[]): Promise<Ended> {
  const path = process.env['npm_execpath']
  return path ? run(process.execPath, [path, ...args]) : run('npm', args)
}

/** What this repository has installed, for whoever imports it from the folder of the test. */
async function lend(dependency: string): Promise<void> {
  const place = join(home, 'node_modules', dependency)
  await mkdir(dirname(place), { recursive: true })
  await symlink(join(root, 'node_modules', dependency), place, 'junction')
}

interface Manifest {
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>
}

requireBuild()
const packed = await npm('pack', join(root, 'packages/resource-server'), '--ignore-scripts', '--pack-destination', home)
const archive = (await readdir(home)).find((file) => file.endsWith('.tgz'))
if (packed.code !== 0 || archive === undefined) throw new Error(`npm pack failed: ${packed.stderr}`)
await mkdir(installed, { recursive: true })
const unpacked = await run('tar', ['-xzf', join(home, archive), '--strip-components=1', '-C', installed])
if (unpacked.code !== 0) throw new Error(`the archive cannot be unpacked: ${unpacked.stderr}`)
const manifest: Manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
const entries = Object.entries(manifest.exports).flatMap(([path, target]) =>
  typeof target === 'string' ? [] : [{ specifier: join(name, path).replaceAll('\\', '/'), ...target }],
)
await writeFile(join(home, 'package.json'), '{ "type": "module" }')
// Everything that it depends on, and nothing that it can do without.
for (const dependency of Object.keys(manifest.dependencies)) await lend(dependency)

t.test('it holds what runs, its types, its licence and its README, and no sources or tests', async (t) => {
  const files = (await readdir(installed, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(installed.length + 1)
        .replaceAll('\\', '/'),
    )
  for (const file of ['LICENSE', 'README.md', 'package.json']) t.ok(files.includes(file), file)
  const others = files.filter((file) => !/^dist\/[\w/-]+\.(?:js|d\.ts|js\.map)$/.test(file))
  t.same(others.sort(), ['LICENSE', 'README.md', 'package.json'])
  t.equal(files.filter((file) => /test|\bsrc\b/.test(file)).length, 0)
  for (const file of files.filter((each) => each.endsWith('.map'))) {
    const { sourcesContent } = JSON.parse(await readFile(join(installed, file), 'utf8'))
    t.type(sourcesContent?.[0], 'string', `${file}: a map without its source leads nowhere`)
  }
})

t.test('every entry point can be imported by Node, with what it depends on alone', async (t) => {
  t.same(entries.map(({ specifier }) => specifier.slice(name.length)).sort(), [
    '',
    '/express',
    '/fastify',
    '/hono',
    '/node',
    '/sign',
  ])
  const program = `
    const modules = {}
    for (const each of process.argv.slice(1)) {
      modules[each] = { at: import.meta.resolve(each), names: Object.keys(await import(each)) }
    }
    console.log(JSON.stringify(modules))`
  const specifiers = entries.map(({ specifier }) => specifier)
  const { code, stdout, stderr } = await node('--input-type=module', '--eval', program, ...specifiers)
  t.same({ code, stderr }, { code: 0, stderr: '' })
  const modules: Record<string, { at: string; names: string[] }> = JSON.parse(stdout)
  for (const entry of entries) {
    const { at, names } = modules[entry.specifier]!
    t.equal(at, pathToFileURL(join(installed, entry.default)).href, `${entry.specifier} is the packed one`)
    const expected = entry.specifier.endsWith('/sign') ? 'signRequest' : 'protect'
    t.ok(names.includes(expected), `${entry.specifier} exports ${names.join(', ')}`)
  }
  t.match(createRequire(join(home, 'any.js'))(`${name}/package.json`), { name })
})

t.test('nothing else of it can be imported', async (t) => {
  const { code, stderr } = await node('--input-type=module', '--eval', `import '${name}/dist/jws.js'`)
  t.not(code, 0)
  t.match(stderr, /ERR_PACKAGE_PATH_NOT_EXPORTED/)
})

t.test('its command explains itself', async (t) => {
  const [command = '', ...others] = Object.values(manifest.bin)
  t.same(others, [], 'npx runs the only one, whatever its name')
  const script = join(installed, command)
  t.match(await readFile(script, 'utf8'), /^#!\/usr\/bin\/env node\n/)
  const help = await node(script, 'explain', '--help')
  t.match(help, { code: 0, stdout: /^Usage: resource-server explain \[TOKEN\] --issuer URL/, stderr: '' })
  t.match(await node(script, 'explain'), { code: 2, stdout: '', stderr: /^Usage: / })
})

/**
 * Checks a program of somebody who has installed the package.
 *
 * @param settings of the compiler, besides
 * @returns what the compiler says
 */
async function check(program: string, settings: object = {}): Promise<string> {
  await writeFile(join(home, 'consumer.ts'), program)
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    // As for a program of Node.js: nothing of a browser.
    lib: ['es2022'],
    strict: true,
    noEmit: true,
    types: ['node'],
    ...settings,
  }
  await writeFile(join(home, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
  const { code, stdout, stderr } = await node(join(root, 'node_modules/typescript/bin/tsc'), '--pretty', 'false')
  return code === 0 ? '' : `${stdout}${stderr}`
}

t.test('its types are there, and check', async (t) => {
  for (const { specifier, types } of entries) t.ok(existsSync(join(installed, types)), `${specifier}: ${types}`)
  await lend('@types/node')
  const core = `
    import { type Health, protect } from '${name}'
    import { protect as forNode } from '${name}/node'
    const api = await protect({ issuer: 'https://auth.example.com', audience: 'https://orders.example' })
    export const state: Health['state'] = api.health().state
    export const guard = (await forNode({ issuer: '', audience: '' })).scopes('orders:read')
    // @ts-expect-error: a scope is a text
    api.scopes(1)`
  t.equal(await check(core), '', 'without any framework, and with every declaration checked')

  for (const framework of ['fastify', 'express', '@types/express', 'hono']) await lend(framework)
  const frameworks = `
    import fastify from 'fastify'
    import express from 'express'
    import { Hono } from 'hono'
    import { protect as forFastify } from '${name}/fastify'
    import { protect as forExpress } from '${name}/express'
    import { protect as forHono } from '${name}/hono'
    const options = { issuer: 'https://auth.example.com', audience: 'https://orders.example' }
    const [a, b, c] = [await forFastify(options), await forExpress(options), await forHono(options)]
    const app = fastify()
    app.register(a.plugin)
    app.get('/orders', { onRequest: a.scopes('orders:read') }, ({ accessToken }) => accessToken.sub)
    express().get('/orders', b.scopes('orders:read'), ({ accessToken }, response) => void response.json(accessToken.sub))
    new Hono().get('/orders', c.scopes('orders:read'), (context) => context.json(context.var.accessToken.sub))
    // @ts-expect-error: a scope is a text
    c.scopes(1)`
  t.equal(
    await check(frameworks, { skipLibCheck: true }),
    '',
    'with each framework, whose own declarations are not ours',
  )
})
