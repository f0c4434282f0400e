import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createDemoServer, startByName } from '../support/examples.js'
import { skip as withoutNginx } from '../support/nginx.js'

const root = fileURLToPath(new URL('../../examples', import.meta.url))
const names = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

/** Those that end by themselves: what they print last. */
const ending: Readonly<Record<string, RegExp>> = {
  'api-key': /^1 order for demo-service\.$/m,
  'signed-requests': /^GET \/orders: 200 .*A signed door.*"for":"demo-service"/m,
}

/** Of each kind of registration one is started once more. */
const again: readonly string[] = ['service', 'api-key', 'mcp-server', 'api-behind-nginx']

const server = await createDemoServer(t)

for (const name of names.flatMap((each) => (again.includes(each) ? [each, each] : [each]))) {
  const skip = name.endsWith('nginx') && withoutNginx
  t.test(`npm run example -- ${name}: one command registers it and starts it`, { skip }, async (t) => {
    const example = await startByName(t, server, name)
    const ends = ending[name]
    if (ends) {
      t.equal(await example.exited, 0, 'it came to its end')
      t.match(example.output(), ends)
    } else {
      await example.untilItAnswers(example.origin)
      t.notMatch(example.output(), /refused|failed/i)
    }
  })
}
