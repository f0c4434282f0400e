import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { commands } from '../../src/cli/run.js'
import { createCommandLine } from '../support/command.js'
import { createEmptyDatabase, createTestDatabase } from '../support/database.js'

t.test('help', async (t) => {
  // None of it opens anything: there is no database here.
  const { run } = createCommandLine(t, undefined, { DATABASE_URL: 'postgresql://127.0.0.1:1/none' })

  t.test('the overview lists every command, and those that main.ts starts', async (t) => {
    const { status, stdout, stderr } = await run(['--help'])
    t.equal(status, 0)
    t.equal(stderr, '')
    for (const name of [...commands.map((command) => command.name), 'start', 'serve', 'work']) {
      t.match(stdout, new RegExp(`^ {2}${name} `, 'm'))
    }
    t.equal((await run(['help'])).stdout, stdout)
    t.equal((await run(['-h'])).stdout, stdout)
  })

  t.test('every command explains its options and gives examples that it understands', async (t) => {
    for (const { name, options, examples } of commands) {
      const { status, stdout } = await run([...name.split(' '), '--help'])
      t.equal(status, 0, name)
      for (const option of [...Object.keys(options), 'json', 'help']) t.match(stdout, `--${option}`)
      t.ok(examples.length > 0, `${name} has examples`)
      for (const example of examples) {
        t.match(stdout, example)
        t.match(example, new RegExp(`ostiary ${name}\\b`))
        const words = wordsOf(example)
        t.equal((await run([...words, '--help'])).status, 0, example)
      }
    }
    t.match((await run(['help', 'client', 'create'])).stdout, /^Register a client\./)
  })

  t.test('a group lists its commands', async (t) => {
    const { status, stdout } = await run(['user', '--help'])
    t.equal(status, 0)
    t.match(stdout, 'user set-password')
    t.notMatch(stdout, 'client create')
  })

  t.test('those that main.ts starts are explained too', async (t) => {
    t.match((await run(['start', '--help'])).stdout, /--demo/)
    t.match(await run(['serve', '--port', '80']), { status: 2, stdout: '', stderr: /takes no argument/ })
  })

  t.test('the version is the package’s', async (t) => {
    t.match((await run(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/)
  })
})

t.test('wrong usage is status 2, nothing on standard output, and one line that says what is meant', async (t) => {
  const { run } = createCommandLine(t, undefined, { DATABASE_URL: 'postgresql://127.0.0.1:1/none' })
  for (const [args, expected] of [
    [['clinet', 'list'], 'Did you mean `ostiary client list`?'],
    [['client', 'crate'], 'Did you mean `ostiary client create`?'],
    [['client'], 'needs one of create, list'],
    [['usr', 'create'], 'Did you mean `ostiary user create`?'],
    [['frobnicate'], 'There is no command "frobnicate". See'],
    [['--json'], 'A command is missing'],
    [['client', 'list', '--jsn'], 'Did you mean --json?'],
    [['client', 'create', '--redirect-url', 'x'], 'Did you mean --redirect-uri?'],
    [['client', 'create', '--frobnicate'], 'The option --frobnicate is unknown. See'],
    [['client', 'create', '-x'], 'The option -x is unknown'],
    [['client', 'create', '--name'], '--name needs a value'],
    [['client', 'create', '--name', '--json'], '--name=TEXT'],
    [['client', 'create', '--name', 'a', '--name', 'b'], '--name is given twice'],
    [['client', 'create', '--public=yes'], '--public takes no value'],
    [['client', 'create', '--public', '--auth-method', 'none'], 'Give one of --public and --auth-method'],
    [['client', 'create', '--first-party', '--no-first-party'], 'not both'],
    [['client', 'create', '--access-token-lifetime', 'ten'], 'not a whole number'],
    [['client', 'create', '--secret-stdin', '--from-json', '-'], 'both read standard input'],
    [['client', 'show'], 'CLIENT_ID is missing'],
    [['client', 'show', 'a', 'b'], '"b" is one argument too many'],
    [['client', 'update', 'a'], 'Nothing to change'],
    [['client', 'update', 'a', '--unset', 'logo_url'], 'Did you mean logo_uri?'],
    [['client', 'update', 'a', '--unset', '__proto__'], 'names no field'],
    [['client', 'rotate-secret', 'a', '--now', '--overlap', '5'], 'not both'],
    [['user', 'create', '--password-stdin'], '--email EMAIL is missing'],
    [['user', 'create', '--email', 'a@example.com'], '--password-stdin is missing'],
    [['resource', 'create'], '--identifier URI is missing'],
    [['resource', 'create', '--identifier', 'https://a.example', '--scope-description', 'x'], 'NAME=VALUE'],
    [
      ['resource', 'create', '--identifier', 'https://a.example', '--scope', 'read', '--scope-lifetime', 'raed=60'],
      'Did you mean read?',
    ],
    [['role', 'grant', 'r', '--resource', 'https://a.example'], 'One of --user, --client is missing'],
    [['revoke'], 'One of --token, --grant'],
    [['revoke', '--client', 'a', '--user', 'b'], 'not several'],
    [['revoke', '--grant', 'not-an-id'], 'not an id'],
    [['audit', 'list', '--since', 'yesterday'], '--since is neither'],
    [['audit', 'list', '--limit', '0'], 'from 1 to'],
  ] as const) {
    const { status, stdout, stderr } = await run([...args])
    t.equal(status, 2, args.join(' '))
    t.equal(stdout, '')
    t.match(stderr, expected)
    t.match(stderr, /^ostiary: [^\n]+ See `ostiary [^\n]*--help`\.\n$/)
  }
  const { status, stdout, stderr } = await run([])
  t.match({ status, stdout }, { status: 2, stdout: '' })
  t.match(stderr, 'Usage: ostiary')
})

t.test('what cannot be done is status 1, nothing on standard output, and one line that says what to do', async (t) => {
  const { run, folder } = createCommandLine(t, await createTestDatabase(t))
  writeFileSync(join(folder, 'broken.json'), '{"client_secret": "do-not-repeat-this-secret-of-mine-please", oops}')
  writeFileSync(join(folder, 'list.json'), '[]')
  for (const [args, expected] of [
    [['client', 'show', 'nobody', '--json'], 'There is no client nobody. `ostiary client list` shows what there is.'],
    [['user', 'show', 'nobody@example.com'], '`ostiary user list`'],
    [['resource', 'show', 'https://nobody.example'], '`ostiary resource list`'],
    [['role', 'show', 'r', '--resource', 'https://nobody.example'], '`ostiary role list`'],
    [['client', 'create', '--from-json', 'missing.json'], 'missing.json cannot be read (ENOENT)'],
    [['client', 'create', '--from-json', 'broken.json'], 'broken.json is not JSON'],
    [['client', 'create', '--from-json', 'list.json'], 'list.json is not one JSON object'],
    [['client', 'create', '--grant-type', 'password', '--json'], 'grant_types'],
    [['user', 'create', '--email', 'a@example.com', '--password-stdin'], 'Standard input is empty'],
    [['revoke', '--token', 'unknown'], 'unknown, has expired or was revoked'],
    [['revoke', '--grant', '0d6c1f5e-8a3b-4f1c-9a44-1f4f9d1d7a20'], 'There is no grant'],
    [['revoke', '--session', '0d6c1f5e-8a3b-4f1c-9a44-1f4f9d1d7a20'], 'There is no session'],
  ] as const) {
    const { status, stdout, stderr } = await run([...args])
    t.equal(status, 1, args.join(' '))
    t.equal(stdout, '')
    t.match(stderr, expected)
    t.match(stderr, /^ostiary: [^\n]+\n$/)
    t.notMatch(stderr, 'do-not-repeat-this-secret')
  }
})

t.test('the configuration is that of the folder', async (t) => {
  const database = await createTestDatabase(t)
  const { run, folder } = createCommandLine(t, database)
  writeFileSync(join(folder, '.env'), 'LOG_LEVLE=info\nPORT=many\n')
  const { status, stdout, stderr } = await run(['client', 'list'])
  t.match({ status, stdout }, { status: 1, stdout: '' })
  t.match(stderr, /2 problems/)
  t.match(stderr, /Did you mean LOG_LEVEL\?/)

  writeFileSync(join(folder, '.env'), 'LOG_LEVEL=debug\n')
  t.match(await run(['client', 'list', '--json']), { status: 0, stdout: '[]\n', stderr: '' })
})

t.test('a database that is away, or of another master key, is told from an error of ours', async (t) => {
  const away = createCommandLine(t, undefined, { DATABASE_URL: 'postgresql://nobody:geheim@127.0.0.1:1/none' })
  const reply = await away.run(['client', 'list'])
  t.match(reply, {
    status: 1,
    stdout: '',
    stderr: /The database cannot be reached \(connect ECONNREFUSED 127\.0\.0\.1:1\)/,
  })
  t.notMatch(reply.stderr, 'geheim')

  const database = await createTestDatabase(t)
  await createCommandLine(t, database).run(['client', 'list'])
  const other = createCommandLine(t, database, { MASTER_KEY: Buffer.alloc(32, 8).toString('base64') })
  t.match(await other.run(['client', 'list']), { status: 1, stderr: /another master key/ })
})

t.test('a database that lacks migrations is not touched by any command but migrate', async (t) => {
  const { run } = createCommandLine(t, await createEmptyDatabase(t))
  t.match(await run(['client', 'list']), { status: 1, stdout: '', stderr: /Run `ostiary migrate` first/ })
  const before = (await run(['migrate', '--status', '--json'])).json()
  t.same(before.applied, [])
  t.ok(before.pending.length > 0)

  const migrated = (await run(['migrate', '--json'])).json()
  t.same(migrated.migrated, before.pending)
  t.match((await run(['migrate'])).stdout, 'up to date')
  t.same((await run(['migrate', '--status', '--json'])).json(), { applied: before.pending, pending: [], newer: [] })
  t.match(await run(['client', 'list', '--json']), { status: 0, stdout: '[]\n' })
})

/** The words of an example, up to where a shell would do something with them. */
function wordsOf(example: string): readonly string[] {
  const [, command = ''] = /ostiary (.*?)(?: < .*)?$/.exec(example) ?? []
  return [...command.matchAll(/(?:[^\s"]|"[^"]*")+/g)].map(([word]) => word.replaceAll('"', ''))
}
