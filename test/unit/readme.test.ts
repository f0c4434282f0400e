import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { commands, processCommands } from '../../src/cli/run.js'
import { describeVariables, type Variable } from '../../src/platform/config/index.js'
import { movedTables } from '../../src/store/dump.js'

const root = new URL('../../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8')
const readme = read('README.md')

/** What stands between two marks, which no reader sees. */
function between(name: string): string {
  return readme.slice(
    readme.indexOf(`<!-- ${name} -->\n`) + `<!-- ${name} -->\n`.length,
    readme.indexOf(`<!-- /${name} -->`),
  )
}

t.test('README.md lists every variable with its default, bounds and reason', async (t) => {
  const rows = describeVariables().map((variable) => {
    const { name, fileVariable, description } = variable
    const names = fileVariable ? `\`${name}\`, \`${fileVariable}\`` : `\`${name}\``
    return `| ${names} | ${variable.default === undefined ? '' : `\`${variable.default}\``} | ${permitted(variable)} | ${description} |\n`
  })
  // The source of truth is src/platform/config: where this differs, copy what is expected into README.md.
  t.equal(
    between('variables'),
    `| Variable | Default | Permitted | What and why |\n|---|---|---|---|\n${rows.join('')}`,
  )
})

function permitted({ choices, minimum, maximum }: Variable): string {
  if (choices) return choices.map((choice) => `\`${choice}\``).join(', ')
  return minimum === undefined ? '' : `${minimum} to ${maximum}`
}

t.test('README.md lists every command', async (t) => {
  const rows = [...processCommands, ...commands].map(({ name, summary }) => `| \`${name}\` | ${summary} |\n`)
  // The source of truth is src/cli.
  t.equal(between('commands'), `| Command | What it does |\n|---|---|\n${rows.join('')}`)
})

t.test('what the documents link to is there', async (t) => {
  for (const document of ['README.md', 'ARCHITECTURE.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md']) {
    const links = [...read(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
    for (const link of links) {
      if (/^https:\/\//.test(link)) continue
      t.ok(existsSync(fileURLToPath(new URL(link.replace(/#.*$/, ''), root))), `${document}: ${link}`)
    }
  }
})

t.test('files that the documents name are there', async (t) => {
  for (const document of ['README.md', 'ARCHITECTURE.md', 'SECURITY.md', 'CONTRIBUTING.md']) {
    const paths = [...read(document).matchAll(/`((?:src|test|prisma|scripts|docs)\/[\w./-]*\w)(?:\/)?`/g)]
    for (const [, path = ''] of paths) t.ok(existsSync(new URL(path, root)), `${document}: ${path}`)
  }
})

t.test('README.md ends what could have been spent after a return to an earlier point', async (t) => {
  const [, tables = ''] = /^TRUNCATE ([^;]*);/m.exec(readme) ?? []
  const named = tables.split(',').map((name) => name.trim())
  const live = movedTables.filter((table) => table.live).map(({ name }) => name)
  t.same(named.toSorted(), live.toSorted())
})
