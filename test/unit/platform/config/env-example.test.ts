import { readFileSync } from 'node:fs'
import t from 'tap'
import { describeVariables, loadConfig } from '../../../../src/platform/config/index.js'

const text = readFileSync(new URL('../../../../.env.example', import.meta.url), 'utf8')

/** What the file says: the comment line before each `# NAME=value`. */
function entries(): ReadonlyMap<string, { readonly value: string; readonly comment: string }> {
  const found = new Map<string, { value: string; comment: string }>()
  const lines = text.split('\n')
  for (const [index, line] of lines.entries()) {
    const [, name, value = ''] = /^# ([A-Z_]+)=(.*)$/.exec(line) ?? []
    if (name) found.set(name, { value, comment: lines[index - 1] ?? '' })
  }
  return found
}

t.test('.env.example lists every variable with its default, unit, bounds and reason', async (t) => {
  const listed = entries()
  for (const variable of describeVariables()) {
    const { name, description, minimum, maximum, choices, fileVariable } = variable
    let permitted = ''
    if (choices) permitted = ` (${choices.join(', ')})`
    else if (minimum !== undefined) permitted = ` (${minimum} to ${maximum})`

    t.same(listed.get(name), { value: variable.default ?? '', comment: `# ${description}${permitted}` }, name)
    if (fileVariable) t.ok(listed.has(fileVariable), fileVariable)
  }
})

t.test('.env.example lists nothing that does not exist', async (t) => {
  const known = describeVariables().flatMap(({ name, fileVariable }) => [name, fileVariable])
  t.same(
    [...entries().keys()].filter((name) => !known.includes(name)),
    [],
  )
})

t.test('.env.example can be copied as it is, and with every default uncommented', async (t) => {
  t.same(loadConfig({ env: {}, envFile: text }), loadConfig({ env: {} }))
  const uncommented = text.replace(/^# ([A-Z_]+=)/gm, '$1')
  t.same(loadConfig({ env: {}, envFile: uncommented }), loadConfig({ env: {} }))
})

t.test('every variable has a reason, and every number a unit or a thing that it counts', async (t) => {
  for (const { name, description, minimum } of describeVariables()) {
    t.match(description, /\S\. \S|[;:,] \S/, `${name} says why`)
    if (minimum === undefined) continue
    t.match(
      description,
      /^(Seconds|Days|Registrations|Logins|API keys|Failed|Failures|Passwords|Streams|Serving processes|Open connections|Database connections|TCP port)/,
      name,
    )
  }
})
