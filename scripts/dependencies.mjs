// What we depend on, from the lock file: `npm run licenses`, `npm run sbom -- FILE`, `npm run audit`.

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { argv, env, execPath, exit, stderr, stdout } from 'node:process'
import { fileURLToPath } from 'node:url'

const root = new URL('../', import.meta.url)
const readJson = (path) => JSON.parse(readFileSync(new URL(path, root), 'utf8'))

/** Licences under which a dependency that is installed with the server may be. Each lets us give the server away under MIT. */
export const allowedLicenses = [
  'MIT',
  'MIT-0',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  '0BSD',
]

/**
 * Every package of a lock file (version 3) but our own. One that several versions are needed of occurs several times. What
 * lies in a package of ours is not installed with the server.
 */
export function packagesOf(lock) {
  return Object.entries(lock.packages)
    .filter(([path, entry]) => path.startsWith('node_modules/') && !entry.link)
    .map(([path, entry]) => ({
      path,
      name: entry.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version: entry.version,
      license: entry.license,
      optional: entry.optional === true,
      // `devOptional` is what development needs and what is an optional peer: the command line of Prisma.
      production: !entry.dev && !entry.devOptional,
    }))
}

/** Of npm's bill of materials (CycloneDX) what is installed with the server. */
export function productionOnly(bom, lock) {
  const refs = new Set(
    packagesOf(lock)
      .filter(({ production }) => production)
      .map(({ name, version }) => `${name}@${version}`),
  )
  const main = bom.metadata.component['bom-ref']
  const kept = (ref) => ref === main || refs.has(ref)
  const { name } = lock.packages['']
  return {
    ...bom,
    // npm names it after the folder that it lies in.
    metadata: { ...bom.metadata, component: { ...bom.metadata.component, type: 'application', name } },
    components: bom.components.filter((component) => kept(component['bom-ref'])),
    dependencies: bom.dependencies
      .filter(({ ref }) => kept(ref))
      .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter(kept) })),
  }
}

/** What is wrong with a bill of materials: it must name everything that is installed with the server, and no more. */
export function problemsOf(bom, lock) {
  const problems = []
  if (bom.bomFormat !== 'CycloneDX' || !/^1\.\d$/.test(bom.specVersion)) problems.push('it is not CycloneDX 1')
  if (!/^urn:uuid:[0-9a-f-]{36}$/.test(bom.serialNumber)) problems.push('it has no serial number')
  const refs = new Set(bom.components.map((component) => component['bom-ref']))
  for (const { name, version, optional, production } of packagesOf(lock)) {
    const ref = `${name}@${version}`
    if (production && !optional && !refs.has(ref)) problems.push(`${ref} is missing`)
    refs.delete(production ? ref : '')
  }
  for (const ref of refs) problems.push(`${ref} is not in the lock file, or for development alone`)
  for (const component of bom.components) {
    const { name, version, purl, licenses, hashes } = component
    if (!name || !version || !purl?.startsWith('pkg:npm/') || !licenses?.length || !hashes?.length) {
      problems.push(`${component['bom-ref']} lacks a version, address, licence or hash`)
    }
  }
  const named = new Set([bom.metadata.component['bom-ref'], ...bom.components.map((component) => component['bom-ref'])])
  for (const { ref, dependsOn } of bom.dependencies) {
    for (const each of [ref, ...dependsOn]) if (!named.has(each)) problems.push(`${each} is referred to and not there`)
  }
  return problems
}

/**
 * What `npm audit --json` found, judged. `open` fails; `excused` is listed in audit-exceptions.json, each with its reason
 * and the day after which it counts again; `elsewhere` is not installed with the server.
 *
 * @returns undefined where the registry gave no answer
 */
export function judgeAudit(report, lock, exceptions, today) {
  if (report?.vulnerabilities === undefined) return undefined
  const production = new Set(
    packagesOf(lock)
      .filter((each) => each.production)
      .map(({ path }) => path),
  )
  const judged = { open: [], excused: [], elsewhere: [] }
  for (const { name, severity, via, nodes } of Object.values(report.vulnerabilities)) {
    // What only passes another package's advisory on is told there.
    for (const advisory of via.filter((each) => typeof each === 'object')) {
      const id = /GHSA(?:-[0-9a-z]{4}){3}/.exec(advisory.url ?? '')?.[0] ?? String(advisory.source)
      const found = { id, name, severity: advisory.severity ?? severity, title: advisory.title }
      const exception = exceptions.find((each) => each.id === id && each.package === name)
      if (!nodes.some((node) => production.has(node))) judged.elsewhere.push(found)
      else if (exception && today <= exception.until) judged.excused.push({ ...found, reason: exception.reason })
      else judged.open.push(found)
    }
  }
  return judged
}

function npm(...args) {
  const [command, before] = env.npm_execpath ? [execPath, [env.npm_execpath]] : ['npm', []]
  const { stdout: output, error } = spawnSync(command, [...before, ...args], {
    cwd: fileURLToPath(root),
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (error) throw error
  return output
}

function licenses() {
  const listed = packagesOf(readJson('package-lock.json')).filter(({ production }) => production)
  const width = Math.max(...listed.map(({ name, version }) => name.length + version.length + 1))
  for (const { name, version, license } of listed) {
    stdout.write(`${`${name}@${version}`.padEnd(width)}  ${license ?? 'UNKNOWN'}\n`)
  }
  const wrong = listed.filter(({ license }) => !allowedLicenses.includes(license))
  for (const { name, license } of wrong)
    stderr.write(`${name}: ${license ?? 'no licence'} is not on the list of allowed ones\n`)
  return wrong.length === 0 ? 0 : 1
}

function sbom(file) {
  if (file === undefined) {
    stderr.write('Usage: npm run sbom -- FILE\n')
    return 2
  }
  const lock = readJson('package-lock.json')
  // npm leaves out too much by `--omit=dev`: whatever development uses, too.
  const bom = productionOnly(JSON.parse(npm('sbom', '--package-lock-only', '--sbom-format', 'cyclonedx')), lock)
  const problems = problemsOf(bom, lock)
  for (const problem of problems) stderr.write(`The bill of materials is wrong: ${problem}\n`)
  if (problems.length > 0) return 1
  writeFileSync(file, `${JSON.stringify(bom, undefined, 2)}\n`)
  stdout.write(`${file}: CycloneDX ${bom.specVersion}, ${bom.components.length} components\n`)
  return 0
}

function audit() {
  const output = npm('audit', '--json')
  const report = (() => {
    try {
      return JSON.parse(output)
    } catch {
      return undefined
    }
  })()
  const today = new Date().toISOString().slice(0, 10)
  const judged = judgeAudit(report, readJson('package-lock.json'), readJson('scripts/audit-exceptions.json'), today)
  if (!judged) {
    stderr.write(`Vulnerabilities are NOT checked: the registry gave no answer (${report?.message ?? 'no report'}).\n`)
    return 0
  }
  const line = ({ id, name, severity, title }) => `${severity} ${name}: ${title} (${id})`
  for (const each of judged.elsewhere) stdout.write(`not installed with the server: ${line(each)}\n`)
  for (const each of judged.excused) stdout.write(`excused: ${line(each)}: ${each.reason}\n`)
  for (const each of judged.open) stderr.write(`VULNERABLE: ${line(each)}\n`)
  stdout.write(`${judged.open.length} known vulnerabilities in what is installed with the server\n`)
  return judged.open.length === 0 ? 0 : 1
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const [command, file] = argv.slice(2)
  const commands = { licenses, sbom: () => sbom(file), audit }
  exit(commands[command]())
}
