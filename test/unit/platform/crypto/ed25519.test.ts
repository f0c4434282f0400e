import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import t from 'tap'
import { readClientKey } from '../../../../src/clients/keys/index.js'
import { ed25519Problem } from '../../../../src/platform/crypto/ed25519.js'

/** The eight points whose order divides 8, by RFC 8032 §5.1.2: of each what it is of. */
const smallOrder = {
  '0100000000000000000000000000000000000000000000000000000000000000': 1,
  ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f: 2,
  '0000000000000000000000000000000000000000000000000000000000000000': 4,
  '0000000000000000000000000000000000000000000000000000000000000080': 4,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05': 8,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85': 8,
  c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a: 8,
  c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa: 8,
} as const

/** `y` from p, 2^255 - 19, on; and the point 1 and the point 2 with the sign of an `x` that is 0. */
const nonCanonical = [
  ...Array.from({ length: 19 }, (_, n) => n + 0xed).flatMap((low) =>
    ['7f', 'ff'].map((high) => `${low.toString(16)}${'ff'.repeat(30)}${high}`),
  ),
  '0100000000000000000000000000000000000000000000000000000000000080',
  `ec${'ff'.repeat(31)}`,
]

const bytesOf = (hex: string): Buffer => Buffer.from(hex, 'hex')
const jwkOf = (hex: string) => ({ kty: 'OKP', crv: 'Ed25519', x: bytesOf(hex).toString('base64url') })

t.test('RFC 8032 §5.1.3: points of small order and encodings that are not canonical are no public keys', async (t) => {
  for (const [hex, order] of Object.entries(smallOrder)) {
    t.equal(ed25519Problem(bytesOf(hex)), 'small_order', `of order ${order}`)
  }
  for (const hex of nonCanonical) t.ok(ed25519Problem(bytesOf(hex)), hex)
  for (const hex of [...Object.keys(smallOrder), ...nonCanonical]) {
    t.equal(readClientKey(jwkOf(hex)), 'anybody could make up signatures for it', 'a client’s, too')
  }
})

t.test('what is next to them is taken, and so are the keys of RFC 8032 §7.1', async (t) => {
  for (const hex of [
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    '0200000000000000000000000000000000000000000000000000000000000000',
    `eb${'ff'.repeat(30)}7f`,
  ]) {
    t.equal(ed25519Problem(bytesOf(hex)), undefined, hex)
  }
  for (let n = 0; n < 100; n++) {
    const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
    t.equal(ed25519Problem(Buffer.from(x, 'base64url')), undefined)
  }
})

t.test('why: under the point of order 1 one signature holds for every message', async (t) => {
  const [identity = ''] = Object.keys(smallOrder)
  const key = createPublicKey({ key: jwkOf(identity), format: 'jwk' })
  const signature = Buffer.concat([bytesOf(identity), Buffer.alloc(32)])
  for (const message of ['one', 'another']) t.equal(verify(null, Buffer.from(message), key, signature), true)
})
