import t from 'tap'
import { endpoints } from '../support/metadata-walk/endpoints.js'
import { claimsTold, members } from '../support/metadata-walk/members.js'
import { openScene } from '../support/metadata-walk/scene.js'
import { testIssuer } from '../support/server.js'

// RFC 8414 §2, OIDC Discovery §3: what is published works, and what is not published does not. What is tried of each member, and
// how, stands in test/support/metadata-walk.

const configurations: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'as it comes': {},
  'registration by token': { REGISTRATION: 'token', STATUS_LISTS: 'off' },
  'registration for everybody': {
    REGISTRATION: 'open',
    CLIENT_ASSERTION_AUDIENCE: 'endpoint',
    CLIENT_ID_METADATA_DOCUMENTS: 'on',
  },
  'the implicit flow': { IMPLICIT: 'on', REGISTRATION: 'token' },
}

type Metadata = Readonly<Record<string, unknown>>

/** What a member says, as a list. */
const said = (metadata: Metadata, name: string): readonly unknown[] =>
  [metadata[name] ?? []].flat().filter((value) => value !== false)

for (const [title, env] of Object.entries(configurations)) {
  t.test(`RFC 8414 §2, OIDC Discovery §3: the metadata, both ways: ${title}`, async (t) => {
    const scene = await openScene(t, env)
    const read = async (name: string): Promise<Metadata> => (await scene.server.get(`/.well-known/${name}`)).json()
    const oauth = await read('oauth-authorization-server')
    const openId = await read('openid-configuration')
    t.equal(openId['issuer'], testIssuer)
    t.match(openId, oauth, 'the two documents agree')
    t.same(
      Object.keys(openId).filter((name) => name !== 'issuer' && !(name in endpoints) && !(name in members)),
      [],
      'each member is walked',
    )

    for (const [name, { path, works }] of Object.entries(endpoints)) {
      const address = openId[name]
      if (address !== undefined) t.equal(address, `${testIssuer}${path}`, name)
      t.equal(await works(scene, path), address !== undefined, `${name}: ${path}`)
    }

    for (const [name, { known, works }] of Object.entries(members)) {
      const published = said(openId, name)
      for (const value of new Set([...known, ...published])) {
        t.equal(await works(scene, String(value)), published.includes(value), `${name}: ${value}`)
      }
    }

    const claims = said(openId, 'claims_supported').map(String)
    t.same([...(await claimsTold(scene, claims))].sort(), [...claims].sort(), 'no claim is told that is not published')
  })
}
