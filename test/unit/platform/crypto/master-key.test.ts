import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { masterKey, masterKeyFileWarning, openMasterKeyFile } from '../../../../src/platform/crypto/master-key.js'
import { systemRandom } from '../../../../src/platform/random.js'
import { SeededRandom } from '../../../support/random.js'

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'ostiary-master-key-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

t.test('the first start makes a key of 32 bytes, in a file that only its owner reads', async (t) => {
  const dataDir = join(folder(t), 'new', '.data')
  const made = openMasterKeyFile(dataDir, systemRandom)

  t.equal(made.key.length, 32)
  t.equal(statSync(join(dataDir, 'master.key')).mode & 0o777, 0o600)
  t.equal(statSync(dataDir).mode & 0o777, 0o700)
  t.same(readdirSync(dataDir), ['master.key'], 'no draft is left')
  t.same(openMasterKeyFile(dataDir, systemRandom), made, 'every later start reads the same')
})

t.test('a wide umask makes no wide file', async (t) => {
  const dataDir = folder(t)
  const before = process.umask(0)
  try {
    openMasterKeyFile(dataDir, systemRandom)
  } finally {
    process.umask(before)
  }
  t.equal(statSync(join(dataDir, 'master.key')).mode & 0o777, 0o600)
})

t.test('processes that start at once get the same key', async (t) => {
  const dataDir = folder(t)
  const script = `
    const { openMasterKeyFile } = await import('./src/platform/crypto/master-key.ts')
    const { systemRandom } = await import('./src/platform/random.ts')
    // All have loaded before the first one begins.
    while (Date.now() < Number(process.env.BEGIN)) {}
    console.log(openMasterKeyFile(process.env.FOLDER, systemRandom).id)`
  const run = promisify(execFile)
  const begin = String(Date.now() + 1500)
  const outputs = await Promise.all(
    Array.from({ length: 4 }, () =>
      run(process.execPath, ['--import=tsx', '--input-type=module', '-e', script], {
        env: { ...process.env, FOLDER: dataDir, BEGIN: begin },
      }),
    ),
  )

  const ids = outputs.map(({ stdout }) => stdout.trim())
  t.match(ids[0], /^[0-9a-f]{16}$/)
  t.same(new Set(ids).size, 1)
  t.equal(openMasterKeyFile(dataDir, systemRandom).id, ids[0])
  t.same(readdirSync(dataDir), ['master.key'])
})

t.test('the second of two that draft a key reads the first one', async (t) => {
  const dataDir = folder(t)
  const seeded = new SeededRandom('second')
  let first: string | undefined
  // The other process comes between our look for the file and our link.
  const random = {
    uuid: () => seeded.uuid(),
    bytes(n: number) {
      first ??= openMasterKeyFile(dataDir, systemRandom).id
      return seeded.bytes(n)
    },
  }
  t.equal(openMasterKeyFile(dataDir, random).id, first)
  t.same(readdirSync(dataDir), ['master.key'])
})

t.test('what is no key is refused and never overwritten: the database would be lost with it', async (t) => {
  const key = Buffer.alloc(32, 3).toString('base64')
  const damaged = {
    empty: '',
    short: key.slice(0, 20),
    long: `${key}${key}`,
    'a stray character, which the decoder would skip': `${key.slice(0, 10)} ${key.slice(10)}`,
    'without its end': key.slice(0, 43),
    text: 'this is not a key at all, but it is as long as one',
  }
  for (const [name, text] of Object.entries(damaged)) {
    const dataDir = folder(t)
    const path = join(dataDir, 'master.key')
    writeFileSync(path, text)
    t.throws(() => openMasterKeyFile(dataDir, systemRandom), { message: /is not a master key/ }, name)
    t.equal(readFileSync(path, 'utf8'), text)
  }
})

t.test('a file that cannot be read is an error, not a reason for a new key', async (t) => {
  const dataDir = folder(t)
  mkdirSync(join(dataDir, 'master.key'))
  t.throws(() => openMasterKeyFile(dataDir, systemRandom), { code: 'EISDIR' })
  if (process.geteuid?.() === 0) return
  const other = folder(t)
  writeFileSync(join(other, 'master.key'), 'x')
  chmodSync(join(other, 'master.key'), 0)
  t.throws(() => openMasterKeyFile(other, systemRandom), { code: 'EACCES' })
})

t.test('the id stands beside what the key wrapped, and tells nothing about it', async (t) => {
  const key = Buffer.alloc(32, 4)
  t.match(masterKey(key).id, /^[0-9a-f]{16}$/)
  t.equal(masterKey(key).id, masterKey(Buffer.from(key)).id)
  t.not(masterKey(key).id, masterKey(Buffer.alloc(32, 5)).id)
  t.notOk(key.toString('hex').includes(masterKey(key).id))
})

t.test('a key that others may read is warned of, without the path', async (t) => {
  const dataDir = folder(t)
  t.equal(masterKeyFileWarning(dataDir), undefined, 'there is none')
  openMasterKeyFile(dataDir, systemRandom)
  t.equal(masterKeyFileWarning(dataDir), undefined, 'as it is made')
  for (const mode of [0o640, 0o604, 0o622, 0o610, 0o644]) {
    chmodSync(join(dataDir, 'master.key'), mode)
    const warning = masterKeyFileWarning(dataDir) ?? ''
    t.match(warning, /chmod 600/, mode.toString(8))
    t.notOk(warning.includes(dataDir))
  }
  chmodSync(join(dataDir, 'master.key'), 0o400)
  t.equal(masterKeyFileWarning(dataDir), undefined)
})
