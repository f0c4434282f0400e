import t from 'tap'
import { authorizationUrl, signedIn } from '../support/authorization.js'
import { askedOf, beforeNextGrant, rowsOf, testLateChanges } from '../support/late-changes.js'
import { ask, metadata, type Registered, registered } from '../support/registration.js'
import { createTestServer } from '../support/server.js'

// A client changes its registration (RFC 7592), at another process, while somebody answers what it was before.

const env = { REGISTRATION: 'open', REGISTRATION_QUOTA: '1000' }
const server = await createTestServer(t, { env })
const beside = await createTestServer(t, { beside: server, env })
const user = await server.createUser()
const beforeGrant = beforeNextGrant(server)
const create = () => registered(server, { scope: 'openid' })

/** By the token that the last change told. */
const tokens = new Map<string, string>()

async function change({ clientId, path, token }: Registered, more: object, of = beside): Promise<void> {
  const body = { ...metadata, scope: 'openid', client_id: clientId, ...more }
  const reply = await ask(of, 'PUT', path, body, { token: tokens.get(clientId) ?? token })
  if (reply.statusCode !== 200) throw new Error(`not changed: ${reply.body}`)
  tokens.set(clientId, reply.json().registration_access_token)
}

/** Before the next grant is written. */
function changeAtLast(client: Registered, more: object): void {
  beforeGrant(() => change(client, more))
}

const unseen = {
  contacts: ['ada@app.example'],
  redirect_uris: [...metadata.redirect_uris, 'https://app.example/other'],
}

testLateChanges(t, { attack: 'attack 98', server, user, name: 'Notes', create, changeAtLast, unseen })

t.test('attack 98: whatever the page shows of a client', async (t) => {
  const uri = 'https://app.example/other'
  for (const more of [
    ...[{ logo_uri: uri }, { client_uri: uri }, { policy_uri: uri }, { tos_uri: uri }],
    { redirect_uris: [...metadata.redirect_uris, 'https://evil.example/cb'] },
  ]) {
    const client = await create()
    const browser = await signedIn(server, user)
    const shown = await browser.open(authorizationUrl(client, askedOf))
    changeAtLast(client, more)
    const again = await browser.submit(shown, {}, { button: 'consent-allow' })
    t.equal(again.step, 'consent', JSON.stringify(more))
    t.equal(await rowsOf(server, 'authorization_code', client), 0)
  }
})

t.test('attack 98: a form of what was shown before the change decides nothing', async (t) => {
  const client = await create()
  const browser = await signedIn(server, user)
  const shown = await browser.open(authorizationUrl(client, askedOf))
  await change(client, { client_name: 'Your bank' }, server)
  const refused = await browser.submit(shown, {}, { button: 'consent-allow' })
  t.equal(refused.status, 403)
  t.equal(await rowsOf(server, 'authorization_code', client), 0)
  const page = await browser.open(authorizationUrl(client, askedOf))
  t.match(page.text, 'It calls itself Your bank')
})
