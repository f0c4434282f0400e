import t from 'tap'
import { createCommandLine } from '../support/command.js'
import { createTestDatabase } from '../support/database.js'
import { openReceiver } from '../support/receiver.js'

const receiver = await openReceiver(t, '/sector')
const { run } = createCommandLine(t, await createTestDatabase(t), { OUTBOUND_ALLOW: new URL(receiver.url).host })

const [one, two, three] = ['https://one.example/cb', 'https://two.example/cb', 'https://three.example/cb']
const redirects = (...uris: readonly string[]) => uris.flatMap((uri) => ['--redirect-uri', uri])
const answers = (document: unknown, status = 200) =>
  receiver.answer((response) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(document))
  })

const pairwise = ['--subject-type', 'pairwise', '--sector-identifier-uri', receiver.url]
const create = (id: string) =>
  run(['client', 'create', '--id', id, '--name', 'Shop', '--scope', 'openid', ...redirects(one, two), ...pairwise])

t.test('OIDC Registration §5: client create reads what lists the redirect URIs', async (t) => {
  for (const [document, status, problem] of [
    [[one], 200, 'does not list all of redirect_uris'],
    [{ redirect_uris: [one, two] }, 200, 'is not answered with a JSON array'],
    [[one, two], 404, 'is not answered with a JSON array'],
  ] as const) {
    answers(document, status)
    const { status: failed, stderr } = await create('shop')
    t.equal(failed, 1)
    t.match(stderr, `sector_identifier_uri ${problem}`)
  }
  answers([one, two])
  t.match(await create('shop'), { status: 0 })
})

t.test('OIDC Registration §5: client update reads it for what is new, and else asks nobody', async (t) => {
  const update = (...args: readonly string[]) => run(['client', 'update', 'shop', ...args])
  const asked = receiver.received.length
  t.match(await update('--name', 'Store'), { status: 0 })
  t.match(await update(...redirects(two)), { status: 0 })
  t.equal(receiver.received.length, asked)
  const refused = await update(...redirects(two, three))
  t.equal(refused.status, 1)
  t.match(refused.stderr, 'sector_identifier_uri does not list all of redirect_uris')
  t.equal(receiver.received.length, asked + 1)
  answers([two, three])
  t.match(await update(...redirects(two, three)), { status: 0 })
})
