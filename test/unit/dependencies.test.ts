import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  allowedLicenses,
  type BillOfMaterials,
  type Exception,
  judgeAudit,
  type Lock,
  packagesOf,
  problemsOf,
  productionOnly,
} from '../../scripts/dependencies.mjs'

const read = (path: string) => JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'))
const lock: Lock = read('package-lock.json')
const manifest: { dependencies: Record<string, string>; devDependencies: Record<string, string> } = read('package.json')

t.test('every dependency that is installed with the server has a licence on the list', async (t) => {
  const production = packagesOf(lock).filter(({ production }) => production)
  t.same(
    production.filter(({ license }) => !allowedLicenses.includes(license ?? '')).map(({ name }) => name),
    [],
  )
  const names = production.map(({ name }) => name)
  for (const name of Object.keys(manifest.dependencies)) t.ok(names.includes(name), name)
  for (const name of Object.keys(manifest.devDependencies)) {
    // The types of pg's types are a dependency of one of ours, and Fastify brings what its tests send requests with.
    if (!name.startsWith('@types/') && name !== 'light-my-request') t.notOk(names.includes(name), name)
  }
})

t.test(
  'attack 137: every package is one of the registry, by its hash; CI asks for advisories and their list',
  async (t) => {
    // The lock file has addresses only of what is not from the registry.
    const elsewhere = Object.entries<Locked>(read('package-lock.json').packages)
      .filter(([path, { link }]) => path.includes('node_modules/') && !link)
      .filter(([, { resolved, integrity }]) => resolved !== undefined || !integrity?.startsWith('sha512-'))
    t.same(elsewhere, [])
    const ci = readFileSync(new URL('../../.ci/run', import.meta.url), 'utf8').split('\n')
    t.ok(ci.includes('npm ci'), 'which installs what is locked and nothing else')
    for (const name of ['audit', 'sbom'])
      t.ok(
        ci.some((line) => line.startsWith(`npm run ${name}`)),
        name,
      )
  },
)

interface Locked {
  readonly resolved?: string
  readonly integrity?: string
  readonly link?: boolean
}

t.test('attack 137: the lock file is the one of package.json, with exact versions', async (t) => {
  const { '': root = {} } = lock.packages
  t.same(root['dependencies'], manifest.dependencies)
  t.same(root['devDependencies'], manifest.devDependencies)
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    t.match(version, /^\d+\.\d+\.\d+$/, name)
  }
})

const small: Lock = {
  packages: {
    '': { name: 'server' },
    'node_modules/fast': { version: '1.0.0', license: 'MIT' },
    'node_modules/fast/node_modules/old': { version: '2.0.0', license: 'ISC' },
    'node_modules/@scope/native': { version: '3.0.0', license: 'MIT', optional: true },
    'node_modules/tool': { version: '4.0.0', license: 'GPL-3.0', dev: true },
    'node_modules/peer': { version: '5.0.0', license: 'MIT', devOptional: true },
  },
}

const component = (ref: string) => {
  const [name, version] = [ref.slice(0, ref.lastIndexOf('@')), ref.slice(ref.lastIndexOf('@') + 1)]
  const licenses = [{ license: { id: 'MIT' } }]
  return { 'bom-ref': ref, name, version, purl: `pkg:npm/${name}@${version}`, licenses, hashes: [{ alg: 'SHA-512' }] }
}

const whole: BillOfMaterials = {
  bomFormat: 'CycloneDX',
  specVersion: '1.5',
  serialNumber: 'urn:uuid:a2ce3fa3-4d03-468b-b2da-1db8f6df403e',
  metadata: { component: { 'bom-ref': 'server@0.1.0', name: 'a-folder', type: 'library' } },
  components: ['fast@1.0.0', 'old@2.0.0', '@scope/native@3.0.0', 'tool@4.0.0', 'peer@5.0.0'].map(component),
  dependencies: [
    { ref: 'server@0.1.0', dependsOn: ['fast@1.0.0', 'tool@4.0.0'] },
    { ref: 'fast@1.0.0', dependsOn: ['old@2.0.0', 'peer@5.0.0'] },
    { ref: 'tool@4.0.0', dependsOn: ['old@2.0.0'] },
  ],
}

t.test('the bill of materials names what is installed with the server, and nothing else', async (t) => {
  const bom = productionOnly(whole, small)
  t.same(
    bom.components.map(({ name }) => name),
    ['fast', 'old', '@scope/native'],
  )
  t.same(bom.dependencies, [
    { ref: 'server@0.1.0', dependsOn: ['fast@1.0.0'] },
    { ref: 'fast@1.0.0', dependsOn: ['old@2.0.0'] },
  ])
  t.match(bom.metadata.component, { name: 'server', type: 'application' })
  t.same(problemsOf(bom, small), [])
})

t.test('a bill of materials that is wrong is told', async (t) => {
  const good = productionOnly(whole, small)
  const { hashes: _, ...bare } = component('fast@1.0.0')
  const cases: readonly (readonly [Partial<BillOfMaterials>, RegExp])[] = [
    [{ bomFormat: 'SPDX' }, /not CycloneDX/],
    [{ serialNumber: '' }, /serial number/],
    [{ components: good.components.slice(1), dependencies: [] }, /^fast@1\.0\.0 is missing/],
    [{ components: [...good.components, component('tool@4.0.0')] }, /tool@4\.0\.0 is .* for development alone/],
    [{ components: [bare, ...good.components.slice(1)] }, /fast@1\.0\.0 lacks a version, address, licence or hash/],
    [{ dependencies: [{ ref: 'fast@1.0.0', dependsOn: ['none@1.0.0'] }] }, /none@1\.0\.0 is referred to/],
  ]
  for (const [change, problem] of cases) t.match(problemsOf({ ...good, ...change }, small), [problem], String(problem))
})

const advisory = (name: string, node: string, id = 'GHSA-aaaa-bbbb-cccc') => ({
  name,
  severity: 'high',
  via: [{ source: 1, title: 'Something bad', severity: 'high', url: `https://github.com/advisories/${id}` }, 'another'],
  nodes: [node],
})

t.test(
  'an audit fails for what is installed with the server, unless it is excused and the day has not come',
  async (t) => {
    const report = {
      vulnerabilities: {
        fast: advisory('fast', 'node_modules/fast'),
        tool: advisory('tool', 'node_modules/tool', 'GHSA-dddd-eeee-ffff'),
        // Vulnerable by what it depends on, which is told there.
        server: { name: 'server', severity: 'high', via: ['fast'], nodes: ['node_modules/fast'] },
      },
    }
    const exception: Exception = {
      id: 'GHSA-aaaa-bbbb-cccc',
      package: 'fast',
      reason: 'not reachable',
      until: '2026-12-31',
    }
    const judge = (exceptions: readonly Exception[], today = '2026-12-31') =>
      judgeAudit(report, small, exceptions, today)

    t.match(judge([]), { open: [{ name: 'fast', id: exception.id }], excused: [], elsewhere: [{ name: 'tool' }] })
    t.match(judge([exception]), { open: [], excused: [{ name: 'fast', reason: 'not reachable' }] })
    t.match(judge([exception], '2027-01-01'), { open: [{ name: 'fast' }], excused: [] })
    t.match(judge([{ ...exception, package: 'old' }]), { open: [{ name: 'fast' }] })
    t.match(judgeAudit({ vulnerabilities: {} }, small, [], '2026-12-31'), { open: [], excused: [], elsewhere: [] })
  },
)

t.test('a registry that does not answer is no clean audit', async (t) => {
  for (const report of [undefined, {}, { message: '405 Method Not Allowed', statusCode: 405 }]) {
    t.equal(judgeAudit(report, small, [], '2026-12-31'), undefined)
  }
})

t.test('each exception has a reason and an end', async (t) => {
  for (const { id, package: name, reason, until } of read('scripts/audit-exceptions.json') as Exception[]) {
    t.match(id, /^GHSA(-[0-9a-z]{4}){3}$/)
    t.ok(name && reason.length > 20, id)
    t.match(until, /^20\d\d-\d\d-\d\d$/)
  }
})
