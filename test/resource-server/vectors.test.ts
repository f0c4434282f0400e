import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import t from 'tap'
import { isObject } from '../../packages/resource-server/src/json.js'
import { readJws, verifyJws } from '../../packages/resource-server/src/jws.js'
import { importVerificationKey } from '../../packages/resource-server/src/verification-key.js'
import { verifySignature } from '../../src/tokens/keys/algorithms.js'
import { isSigningAlg } from '../../src/tokens/keys/index.js'
import { printed, wycheproofCrypto, wycheproofJwe, wycheproofJwk, wycheproofJws } from '../support/jose-vectors.js'

/** Whether this package accepts it: what the JWKS would keep of the key, and what a token would be verified with. */
async function accepts(jwk: unknown, jws: unknown): Promise<boolean> {
  const key = await importVerificationKey(jwk)
  const parsed = typeof jws === 'string' ? readJws(jws) : 'token_malformed'
  if (typeof key === 'string' || typeof parsed === 'string') return false
  const accepted = await verifyJws(parsed, key)
  // By Node.js's own cryptography where it is quick, and by WebCrypto, as on any other runtime.
  const elsewhere = await verifyJws(parsed, { ...key, native: undefined })
  if (accepted !== elsewhere) throw new Error('the two ways to verify disagree')
  return accepted
}

/** The same by the server's own cryptography, with which it verifies what it signed itself. */
function serverAccepts(jwk: JWK, jws: unknown): boolean | undefined {
  const { alg } = jwk
  const parsed = typeof jws === 'string' ? readJws(jws) : undefined
  if (alg === undefined || !isSigningAlg(alg) || parsed === undefined || typeof parsed === 'string') return undefined
  if (parsed.header['alg'] !== alg) return undefined
  const key = createPublicKey({ key: { ...jwk } as JsonWebKey, format: 'jwk' })
  return verifySignature(alg, key, parsed.signingInput, parsed.signature)
}

/** Vectors that hold and that we refuse all the same, and why. */
const refusedHere: Readonly<Record<number, string>> = {
  346: 'the key is for PS256, and the JWS says PS384',
  347: 'the key is for ES521, which does not exist, and the JWS says ES512',
  350: 'as 346',
  351: 'as 347',
}

t.test('Wycheproof: JSON Web Signature', async (t) => {
  const { testGroups, numberOfTests } = wycheproofJws
  let count = 0
  for (const group of testGroups) {
    for (const { tcId, comment, jws, result } of group.tests) {
      count++
      const name = `${tcId} ${group.comment}: ${comment}`
      // A verifier has no secrets: where there is no public key, nothing is good.
      const expected = result === 'valid' && group.public !== undefined && !(tcId in refusedHere)
      t.equal(await accepts(group.public ?? group.private, jws), expected, name)
      const atServer = group.public && serverAccepts(group.public, jws)
      if (atServer !== undefined && result === 'valid') t.equal(atServer, true, `${name}: at the server`)
      if (atServer !== undefined && result === 'invalid' && group.public?.use !== 'enc' && !group.public?.key_ops) {
        t.equal(atServer, false, `${name}: at the server`)
      }
    }
  }
  t.equal(count, numberOfTests)
})

t.test('Wycheproof: JSON Web Key, and the signatures of JSON Web Crypto', async (t) => {
  let count = 0
  for (const group of [...wycheproofJwk.testGroups, ...wycheproofCrypto.testGroups]) {
    for (const { tcId, comment, jws, result } of group.tests) {
      count++
      const one = group.public ?? group.private
      const { keys = [one] } = one
      const parsed = typeof jws === 'string' ? readJws(jws) : 'token_malformed'
      const kid = typeof parsed === 'string' ? undefined : parsed.header['kid']
      const named = keys.filter((key) => isObject(key) && key.kid === kid)
      const accepted = named.length === 1 && (await accepts(named[0], jws))
      t.equal(accepted, result === 'valid' && group.public !== undefined, `${tcId} ${group.comment}: ${comment}`)
    }
  }
  t.equal(count, wycheproofJwk.numberOfTests + wycheproofCrypto.numberOfTests)
})

t.test('Wycheproof: JSON Web Encryption: nothing here decrypts, and what is encrypted is no token', async (t) => {
  t.equal(wycheproofJwe.length, 173)
  for (const { name, jwk, jwe } of wycheproofJwe) t.equal(await accepts(jwk, jwe), false, name)
})

for (const { section, jwk, alg, compact } of printed.jws) {
  t.test(`${section}: the JWS that is printed, and what differs from it by one bit`, async (t) => {
    const asymmetric = !/^(?:HS|none)/.test(alg)
    const key = { ...jwk, alg: asymmetric ? alg : undefined }
    t.equal(await accepts(key, compact), asymmetric)
    if (!asymmetric) return
    if (isSigningAlg(alg)) t.equal(serverAccepts(key, compact), true, 'at the server')
    const parts = compact.split('.').map((part) => Buffer.from(part, 'base64url'))
    for (const [index, part] of parts.entries()) {
      for (const bit of [0, part.length * 8 - 1, part.length * 4]) {
        const changed = parts.map((each) => Buffer.from(each))
        changed[index]![bit >> 3]! ^= 1 << (bit & 7)
        const jws = changed.map((each) => each.toString('base64url')).join('.')
        t.equal(await accepts(key, jws), false, `bit ${bit} of part ${index}`)
        if (isSigningAlg(alg) && index > 0) t.equal(serverAccepts(key, jws) ?? false, false, 'at the server')
      }
    }
  })
}

for (const { section, jwk, problem, thumbprint } of printed.jwk) {
  t.test(`${section}: the key that is printed`, async (t) => {
    const key = await importVerificationKey(jwk)
    if (problem !== undefined) t.equal(key, problem)
    else t.not(typeof key, 'string', String(key))
    // By what the server names its keys.
    if (thumbprint !== undefined) t.equal(await calculateJwkThumbprint(jwk), thumbprint)
  })
}
