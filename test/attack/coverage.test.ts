import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const folder = fileURLToPath(new URL('.', import.meta.url))
const tests = resolve(folder, '..')
const numbers = Array.from({ length: 138 }, (_, index) => index + 1)

/** The numbers that titles of tests begin with. */
function titled(file: string): ReadonlySet<number> {
  const titles = readFileSync(file, 'utf8').matchAll(/\.test\(\s*['"`]attack (\d+)[:,]/g)
  return new Set([...titles].map(([, number]) => Number(number)))
}

interface Row {
  readonly number: number
  readonly files: readonly string[]
  readonly text: string
}

const rows: readonly Row[] = [
  ...readFileSync(join(folder, 'README.md'), 'utf8').matchAll(/^\| (\d+) \| .+? \| (.+) \|$/gm),
].map(([, number, text = '']) => ({
  number: Number(number),
  // Those behind `with` are of a test that stands in until then.
  files: /^with /.test(text) ? [] : [...text.matchAll(/`([^`]+\.test\.tsx?)`/g)].map(([, file = '']) => file),
  text,
}))

t.test('every attack has a row in README.md, in order', async (t) => {
  t.same(
    rows.map(({ number }) => number),
    numbers,
  )
})

t.test('every attack has a test, or says what it waits for', async (t) => {
  for (const { number, files, text } of rows) {
    t.ok(files.length > 0 || /^with [a-zA-Z]/.test(text), `attack ${number}: ${text}`)
  }
})

t.test('a file that a row names has a test of that number', async (t) => {
  for (const { number, files, text } of rows) {
    for (const file of files) {
      const path = resolve(folder, file)
      t.ok(existsSync(path) && titled(path).has(number), `attack ${number}: ${file}`)
    }
    for (const [, file = ''] of text.matchAll(/`([^`]+\.test\.tsx?)`/g)) t.ok(existsSync(resolve(folder, file)), file)
  }
})

t.test('what is tested under a number does not wait for anything', async (t) => {
  const waiting = new Set(rows.filter(({ files }) => files.length === 0).map(({ number }) => number))
  for (const name of readdirSync(tests, { recursive: true, encoding: 'utf8' })) {
    if (!/\.test\.tsx?$/.test(name)) continue
    for (const number of titled(join(tests, name))) {
      t.ok(numbers.includes(number), `${name}: there is no attack ${number}`)
      t.notOk(waiting.has(number), `${name}: attack ${number} is said to wait`)
    }
  }
})
