import t from 'tap'
import { sha256 } from '../../../src/platform/crypto/hash.js'
import { drawOpaque, readOpaque } from '../../../src/tokens/index.js'
import { SeededRandom } from '../../support/random.js'

const ctx = { random: new SeededRandom('opaque') }

t.test('a token says what it is and where its row lies, and holds 256 random bits', async (t) => {
  for (const prefix of ['oac', 'ort', 'oat', 'oss', 'oin'] as const) {
    for (const bucket of [0, 35, 36, 2931, 20_513, 2_147_483_646]) {
      const token = drawOpaque(ctx, prefix, bucket)
      t.match(token.value, new RegExp(`^${prefix}_${bucket.toString(36)}_[A-Za-z0-9_-]{43}$`))
      t.same(token.hash, sha256(token.value), 'the whole value is hashed: no other one finds the row')
      t.same(readOpaque(prefix, token.value), token)
    }
  }
  const drawn = Array.from({ length: 1000 }, () => drawOpaque(ctx, 'ort', 1).value)
  t.equal(new Set(drawn).size, 1000)
})

t.test('what we cannot have drawn is refused before any lookup', async (t) => {
  const { value } = drawOpaque(ctx, 'ort', 2931)
  const body = value.slice(-43)
  const malformed = {
    'of another kind': value.replace('ort', 'oat'),
    'of no kind': value.replace('ort', 'oxx'),
    'in capitals': value.replace('ort', 'ORT'),
    empty: '',
    'without a bucket': `ort__${body}`,
    'with a bucket that no integer column holds': `ort_zzzzzz_${body}`,
    'with the bucket of rows that have no end': `ort_${(2_147_483_647).toString(36)}_${body}`,
    'with a long bucket': `ort_${'0'.repeat(7)}_${body}`,
    'with a negative bucket': `ort_-1_${body}`,
    'too short': value.slice(0, -1),
    'too long': `${value}A`,
    'of a huge length': `${value}${'A'.repeat(100_000)}`,
    'with base64 that is not of URLs': `ort_29_${body.slice(0, -1)}+`,
    'with padding': `${value}=`,
    'with a line end': `${value}\n`,
    'with space before it': ` ${value}`,
    'with a NUL': `ort_29_${body.slice(0, -1)}\0`,
    'with letters that look alike': value.replace('ort', 'оrt'),
    'a JWT': 'eyJhbGciOiJFUzI1NiJ9.e30.c2ln',
  }
  for (const [name, text] of Object.entries(malformed)) t.equal(readOpaque('ort', text), undefined, name)
})
