import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { readExample } from '../support/examples.js'

const root = fileURLToPath(new URL('../../examples', import.meta.url))

for (const { name } of readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
  t.test(
    `examples/${name}: under 100 lines, nothing in the storage of a page, and a command that starts it`,
    async (t) => {
      const files = readdirSync(`${root}/${name}`).map((file) => readFileSync(`${root}/${name}/${file}`, 'utf8'))
      const lines = files.reduce((sum, text) => sum + text.split('\n').length - 1, 0)
      t.ok(lines < 100, `${lines} lines`)
      t.notMatch(files.join(''), /localStorage|sessionStorage|indexedDB|document\.cookie/)
      const [program = '', ...more] = readExample(name).program
      t.equal(dirname(program), `examples/${name}`)
      t.ok(existsSync(program) && more.length === 0, 'one command')
    },
  )
}
