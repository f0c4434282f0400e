import { createHmac } from 'node:crypto'
import t from 'tap'
import { deriveKey, deriveKeyOnce, hmacSha256, sha256, timingSafeEqual } from '../../../../src/platform/crypto/hash.js'

t.test('FIPS 180-4: SHA-256', async (t) => {
  t.equal(sha256('abc').toString('hex'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  t.same(sha256(Buffer.from('abc')), sha256('abc'))
})

t.test('RFC 4231 §4.3: HMAC-SHA-256', async (t) => {
  t.equal(
    hmacSha256(Buffer.from('Jefe'), 'what do ya want for nothing?').toString('hex'),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  )
})

t.test('RFC 2104: as the platform has it, for keys and texts of all lengths', async (t) => {
  const key = (length: number) => Buffer.alloc(length, `${length}`)
  for (const length of [1, 31, 32, 63, 64, 65, 200]) {
    for (const text of ['', 'short', '\u00fc\u20ac\u{1f511}', 'x'.repeat(55), 'x'.repeat(1_000)]) {
      const expected = createHmac('sha256', key(length)).update(text).digest()
      const again = key(length)
      t.same(hmacSha256(again, text), expected, `a key of ${length}`)
      t.same(hmacSha256(again, Buffer.from(text)), expected, 'of bytes, with a key that was seen before')
    }
  }
})

t.test('RFC 5869: a key for each purpose, the same each time', async (t) => {
  const secret = Buffer.alloc(32, 1)
  t.equal(deriveKey(secret, 'a').length, 32)
  t.same(deriveKey(secret, 'a'), deriveKey(secret, 'a'))
  t.notSame(deriveKey(secret, 'a'), deriveKey(secret, 'b'))
  t.notSame(deriveKey(secret, 'a'), deriveKey(Buffer.alloc(32, 2), 'a'))
  t.notSame(deriveKey(secret, 'a'), secret)
})

t.test('NIST SP 800-56C §4: the hash of the counter, the secret and the purpose', async (t) => {
  const block = Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.from('secret'), Buffer.from('purpose')])
  t.same(deriveKeyOnce('secret', 'purpose'), sha256(block))
  t.notSame(deriveKeyOnce('secret', 'other'), deriveKeyOnce('secret', 'purpose'))
  t.notSame(deriveKeyOnce('secret', 'purpose'), sha256('secret'))
})

t.test('what differs in length is different, without an exception', async (t) => {
  t.equal(timingSafeEqual(Buffer.from('same'), Buffer.from('same')), true)
  t.equal(timingSafeEqual(Buffer.from('same'), Buffer.from('sane')), false)
  t.equal(timingSafeEqual(Buffer.from('same'), Buffer.from('longer')), false)
  t.equal(timingSafeEqual(Buffer.alloc(0), Buffer.alloc(0)), true)
})

t.test('RFC 2104 §2: of any length, in any characters, one behind the other', (t) => {
  const key = Buffer.alloc(32, 9)
  const whole = 'aé€😀\ud800'
  for (let length = 0; length < 700; length += 7) {
    const text = whole.repeat(length).slice(0, length)
    const expected = createHmac('sha256', key).update(text).digest('hex')
    t.equal(hmacSha256(key, text).toString('hex'), expected, `${length} characters`)
    t.equal(hmacSha256(key, new Uint8Array(Buffer.from(text))).toString('hex'), expected, 'as bytes')
  }
  t.end()
})
