import t from 'tap'
import { claimsAbout, readProfile, scopeOfClaim, userClaimNames } from '../../../src/identity/claims.js'

t.test('OIDC Core §5.1: a profile has standard claims of their forms', async (t) => {
  const profile = {
    given_name: 'Ada',
    birthdate: '1815-12-10',
    website: 'https://ada.example/',
    address: { formatted: '12 St James Square\nLondon', country: 'GB' },
    phone_number: '+44 20 7946 0000',
    phone_number_verified: false,
  }
  t.same(readProfile(profile), profile)
  for (const wrong of [
    { name: 'Ada' },
    { email: 'ada@example.com' },
    { email_verified: true },
    { sub: 'x' },
    { admin: true },
    { constructor: 'x' },
    { given_name: 1 },
    { given_name: '' },
    { given_name: 'a\u202eb' },
    { given_name: 'a'.repeat(1_001) },
    { website: 'javascript:alert(1)' },
    { birthdate: '10.12.1815' },
    { phone_number_verified: 'yes' },
    { address: 'London' },
    { address: { planet: 'Earth' } },
  ]) {
    t.throws(() => readProfile(wrong), { name: 'InvalidValueError' }, JSON.stringify(wrong))
  }
})

t.test('OIDC Core §5.3.2: a claim without a value is left out', async (t) => {
  const user = { email: 'ada@example.com', profile: { nickname: 'Ada' }, updatedAt: new Date(1_500) }
  t.same(claimsAbout(user, userClaimNames), {
    nickname: 'Ada',
    updated_at: 1,
    email: 'ada@example.com',
    email_verified: false,
  })
  t.same(claimsAbout(user, ['constructor', 'toString', '__proto__']), {})
})

t.test('OIDC Core §5.4: each claim belongs to one scope', async (t) => {
  t.equal(scopeOfClaim('email_verified'), 'email')
  t.equal(scopeOfClaim('birthdate'), 'profile')
  t.equal(scopeOfClaim('address'), 'address')
  t.equal(scopeOfClaim('acr'), undefined)
})
