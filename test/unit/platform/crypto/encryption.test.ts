import t from 'tap'
import { decrypt, encrypt } from '../../../../src/platform/crypto/encryption.js'
import { SeededRandom } from '../../../support/random.js'

const random = new SeededRandom('encryption')
const key = random.bytes(32)
const plaintext = Buffer.from('a private key')

t.test('what was encrypted comes back under the same key and context', async (t) => {
  for (const text of [plaintext, Buffer.alloc(0), random.bytes(10_000)]) {
    const ciphertext = encrypt(random, key, text, 'row 1')
    t.same(decrypt(key, ciphertext, 'row 1'), text)
    t.equal(ciphertext.length, 12 + 16 + text.length)
  }
})

t.test('NIST SP 800-38D §8: no two ciphertexts share an initialization vector', async (t) => {
  const ivs = Array.from({ length: 1000 }, () => encrypt(random, key, plaintext, 'row').subarray(0, 12).toString('hex'))
  t.equal(new Set(ivs).size, 1000)
})

t.test('a ciphertext belongs to its context: rows cannot be swapped', async (t) => {
  const ciphertext = encrypt(random, key, plaintext, 'row 1')
  t.throws(() => decrypt(key, ciphertext, 'row 2'))
  t.throws(() => decrypt(key, ciphertext, ''))
  t.throws(() => decrypt(random.bytes(32), ciphertext, 'row 1'), 'nor does another key open it')
})

t.test('every single bit counts', async (t) => {
  const ciphertext = encrypt(random, key, plaintext, 'row')
  let opened = 0
  for (let bit = 0; bit < ciphertext.length * 8; bit++) {
    const flipped = Buffer.from(ciphertext)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    try {
      decrypt(key, flipped, 'row')
      opened++
    } catch {}
  }
  t.equal(opened, 0)
})

t.test('what was cut off is refused, however short the tag has become', async (t) => {
  const ciphertext = encrypt(random, key, plaintext, 'row')
  for (let length = 0; length < ciphertext.length; length++) {
    t.throws(() => decrypt(key, ciphertext.subarray(0, length), 'row'), `${length} bytes`)
  }
})
