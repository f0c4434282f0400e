import fc from 'fast-check'
import t from 'tap'
import { isCodeChallenge, isCodeVerifier, verifyCodeChallenge } from '../../../src/oauth/pkce.js'
import { sha256 } from '../../../src/platform/crypto/hash.js'

// The same cases in every run: a failure repeats.
fc.configureGlobal({ seed: 6749 })

// RFC 7636 Appendix B.
const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'

t.test('RFC 7636 §4.6: the verifier of a challenge is recognised', async (t) => {
  t.ok(verifyCodeChallenge(verifier, challenge))
  t.notOk(verifyCodeChallenge(`${verifier}a`, challenge))
  t.notOk(verifyCodeChallenge(verifier.toLowerCase(), challenge))
  t.notOk(verifyCodeChallenge(verifier, challenge.slice(1)))
  t.notOk(verifyCodeChallenge(verifier, `${challenge}=`))
  t.notOk(verifyCodeChallenge(verifier, ''))
})

t.test('attacks 43, 46: a challenge is not its own verifier', async (t) => {
  t.notOk(verifyCodeChallenge(challenge, challenge))
  t.notOk(verifyCodeChallenge(verifier, verifier))
})

t.test('attack 45: a verifier is 43 to 128 unreserved characters', async (t) => {
  t.ok(isCodeVerifier('a'.repeat(43)))
  t.ok(isCodeVerifier('a'.repeat(128)))
  t.ok(isCodeVerifier(`${'a'.repeat(43)}-._~`))
  const bad = ['', 'a'.repeat(42), 'a'.repeat(129), `${'a'.repeat(43)}+`, `${'a'.repeat(43)}é`, `${'a'.repeat(43)}\n`]
  for (const text of bad) {
    t.notOk(isCodeVerifier(text), JSON.stringify(text))
    t.notOk(verifyCodeChallenge(text, sha256(text).toString('base64url')), JSON.stringify(text))
  }
})

t.test('RFC 7636 §4.2: a challenge by S256 is 43 characters of base64url', async (t) => {
  t.ok(isCodeChallenge(challenge))
  for (const text of [
    '',
    'a'.repeat(42),
    'a'.repeat(44),
    'a'.repeat(128),
    `${'a'.repeat(42)}=`,
    `${'a'.repeat(42)}~`,
  ]) {
    t.notOk(isCodeChallenge(text), text)
  }
})

t.test('RFC 7636 §4: every verifier belongs to its own challenge alone', async (t) => {
  const unreserved = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~'
  const verifiers = fc.string({ unit: fc.constantFrom(...unreserved), minLength: 43, maxLength: 128 })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(verifiers, verifiers, (one, other) => {
        const made = sha256(one).toString('base64url')
        return (
          isCodeChallenge(made) &&
          verifyCodeChallenge(one, made) &&
          verifyCodeChallenge(other, made) === (one === other)
        )
      }),
    ),
  )
})
