import t from 'tap'
import { createClientKeys, openIdSigningAlgs, signatureProblem } from '../../../src/clients/index.js'
import { readJwt, type UnverifiedJwt } from '../../../src/oauth/index.js'
import { createLogger } from '../../../src/platform/log.js'
import { createOutbound } from '../../../src/platform/outbound/index.js'
import { TestClock } from '../../support/clock.js'
import { printed, wycheproofCrypto, wycheproofJwe, wycheproofJwk, wycheproofJws } from '../../support/jose-vectors.js'

// Published JWS, as if a client had registered the key and signed them. Those that hold and are refused all the same are signed by
// algorithms that we do not have.

const log = createLogger({ level: 'silent', pretty: false, destination: { write: () => undefined } })
const clientKeys = createClientKeys({ outbound: createOutbound({ allow: [] }), clock: new TestClock(), log })

/** The JWT, and where it has no claims, one with the same header and signature: that is what a vector is about. */
function readVector(jws: unknown): UnverifiedJwt | undefined {
  const jwt = typeof jws === 'string' ? readJwt(jws) : 'malformed'
  if (typeof jwt === 'object') return jwt
  if (typeof jws !== 'string' || jwt !== 'claims_malformed') return undefined
  const [head = '', , signature = ''] = jws.split('.')
  return { header: JSON.parse(Buffer.from(head, 'base64url').toString()), claims: {}, compact: jws, signature }
}

async function accepts(keys: readonly unknown[], jwt: UnverifiedJwt | undefined): Promise<boolean> {
  const client = { clientId: 'client', jwks: { keys: keys as Record<string, unknown>[] } }
  return jwt !== undefined && (await signatureProblem({ clientKeys }, client, jwt, undefined)) === undefined
}

const isOurs = (jwt: UnverifiedJwt | undefined): boolean => openIdSigningAlgs.some((alg) => alg === jwt?.header.alg)

t.test('Wycheproof: JSON Web Signature, JSON Web Key, and the signatures of JSON Web Crypto', async (t) => {
  const judged = { vectors: 0, accepted: 0 }
  const files = [wycheproofJws, wycheproofJwk, wycheproofCrypto]
  for (const group of files.flatMap(({ testGroups }) => testGroups)) {
    for (const { tcId, comment, jws, result } of group.tests) {
      const key = group.public ?? group.private
      const jwt = readVector(jws)
      const accepted = await accepts(key.keys ?? [key], jwt)
      const expected = result === 'valid' && group.public !== undefined && isOurs(jwt)
      t.equal(accepted, expected, `${tcId} ${group.comment}: ${comment}`)
      judged.vectors++
      if (accepted) judged.accepted++
    }
  }
  t.equal(
    judged.vectors,
    files.reduce((sum, { numberOfTests }) => sum + numberOfTests, 0),
  )
  t.ok(judged.accepted > 15, `${judged.accepted} hold`)
})

t.test('Wycheproof: JSON Web Encryption: what is encrypted is signed by nobody', async (t) => {
  for (const { name, jwk, jwe } of wycheproofJwe) t.equal(await accepts([jwk], readVector(jwe)), false, name)
})

t.test('RFC 7515, RFC 8037: the JWS that are printed', async (t) => {
  for (const { section, jwk, compact } of printed.jws) {
    const jwt = readVector(compact)
    t.equal(await accepts([jwk], jwt), isOurs(jwt), section)
  }
})
