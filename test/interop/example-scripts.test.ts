import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createDemoServer, type ExampleServer, readExample, runExample } from '../support/examples.js'
import { makeFolder } from '../support/process.js'

async function makeKey(server: ExampleServer, command: readonly string[]) {
  const { id, key } = JSON.parse(await server.ostiary([...command, '--json']))
  return { id: String(id), key: String(key) }
}

t.test('examples/api-key: does what it is told beside the answers', async (t) => {
  const server = await createDemoServer(t)
  const [create = [], rotate = [], createTier = []] = readExample('api-key').commands
  t.same([create[1], rotate[1], createTier[1]], ['create', 'rotate', 'create'])
  const { id, key } = await makeKey(server, create)
  const run = (env: Readonly<Record<string, string>> = {}) => runExample(t, server, 'api-key', { API_KEY: key, ...env })

  const first = await run()
  t.same([first.status, first.stderr], [0, ''])
  t.match(first.stdout, /^1 order for demo-service\.$/m)

  await server.ostiary(rotate.map((word) => (word === 'ID' ? id : word)))
  await server.ostiary(createTier)
  const told = await run({ LIMIT: 'small', REQUESTS: '3' })
  t.equal(told.status, 0)
  t.equal(told.stdout.match(/^1 order for demo-service\.$/gm)?.length, 3, 'it waited, and went on')
  t.match(told.stdout, /^Tier small: 1 left, all of them again in \d+ s\.$/m)
  t.match(told.stderr, /^429: asked to slow down, and to come back in 1 s\.$/m)
  t.match(told.stderr, /^This key has a successor since \d{4}-.*: move to it\.\nThis one ends at \d{4}-/m)

  await server.ostiary(['api-key', 'revoke', id])
  const refused = await run()
  t.equal(refused.status, 1)
  t.match(refused.stderr, /^The API refuses the key/)
  t.notOk(
    [first, told, refused].some((each) => JSON.stringify(each).includes(key)),
    'no key is printed',
  )
})

t.test('examples/signed-requests: a pair is made and registered, and nothing that is sent is good twice', async (t) => {
  const server = await createDemoServer(t)
  const folder = await makeFolder(t)
  const file = join(folder, 'signing-key.jwk')
  const made = await runExample(t, server, 'signed-requests', { KEY_ID: '', KEY_FILE: file })
  t.equal(made.status, 0)
  const publicKey = JSON.parse(made.stdout)
  const privateKey = JSON.parse(await readFile(file, 'utf8'))
  t.same(Object.keys(publicKey), ['kty', 'crv', 'x'])
  t.equal(privateKey.x, publicKey.x)
  t.notOk((made.stdout + made.stderr).includes(privateKey.d), 'the private half is in its file alone')
  t.equal((await stat(file)).mode & 0o777, 0o600)
  const again = await runExample(t, server, 'signed-requests', { KEY_ID: '', KEY_FILE: file })
  t.match([again.status, again.stderr], [1, 'EEXIST'], 'it is not written over')

  const printed = join(folder, 'public-key.jwk')
  await writeFile(printed, made.stdout)
  const [register = []] = readExample('signed-requests').commands
  const { id } = await makeKey(
    server,
    register.map((word) => (word === 'public-key.jwk' ? printed : word)),
  )
  const { status, stdout } = await runExample(t, server, 'signed-requests', { KEY_ID: id, KEY_FILE: file })
  t.equal(status, 0)
  const lines = stdout.split('\n').filter((line) => /^POST|^GET|^The same|^Another/.test(line))
  t.match(lines, [
    'POST /orders: 201 {"id":2,"item":"A signed door"}',
    /^The same a second time: 401/,
    /^Another body: 401/,
    'GET /orders: 200 {"orders":[{"id":1,"item":"A door"},{"id":2,"item":"A signed door"}],"for":"demo-service"}',
  ])
})
