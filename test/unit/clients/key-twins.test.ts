import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { JWK } from 'jose'
import t from 'tap'
import { isRoca as isRocaThere } from '../../../packages/resource-server/src/roca.js'
import { importVerificationKey } from '../../../packages/resource-server/src/verification-key.js'
import { readClientKey } from '../../../src/clients/keys/index.js'
import { isRoca } from '../../../src/clients/keys/roca.js'
import {
  printed,
  type VectorGroup,
  wycheproofCrypto,
  wycheproofJwk,
  wycheproofJws,
} from '../../support/jose-vectors.js'
import { SeededRandom } from '../../support/random.js'

// The package imports nothing of ours, so it has these two again. They must judge alike.

const random = new SeededRandom('key twins')

t.test('CVE-2017-15361: both have the same text', async (t) => {
  const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
  t.equal(read('src/clients/keys/roca.ts'), read('packages/resource-server/src/roca.ts'))
})

/** Of the primes that both look at. */
const primes = [
  ...[3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109],
  ...[113, 127, 131, 137, 139, 149, 151, 157, 163, 167],
].map(BigInt)
const product = primes.reduce((all, prime) => all * prime, 1n)

const draw = (bytes: number): bigint => BigInt(`0x${Buffer.from(random.bytes(bytes)).toString('hex')}`)
const bytesOf = (value: bigint): Uint8Array => Buffer.from(value.toString(16).padStart(512, '0'), 'hex')

t.test('CVE-2017-15361: the same verdict over many moduli', async (t) => {
  for (let count = 0; count < 200; count++) {
    // As those cards draw their primes: a power of 65537 modulo all small primes at once.
    let power = 1n
    for (let times = draw(1) + 1n; times > 0n; times--) power = (power * 65_537n) % product
    const weak = bytesOf((draw(200) + 1n) * product + power)
    t.same([isRoca(weak), isRocaThere(weak)], [true, true])
    const sound = bytesOf(draw(256) | 1n)
    t.same([isRoca(sound), isRocaThere(sound)], [false, false])
  }
})

type Jwk = Readonly<Record<string, unknown>>

const drawn: readonly (readonly [alg: string, pair: { readonly publicKey: KeyObject }])[] = [
  ['RS256', generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ['PS256', generateKeyPairSync('rsa', { modulusLength: 3072 })],
  ['PS256', generateKeyPairSync('rsa', { modulusLength: 1024 })],
  ['ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ['ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ['EdDSA', generateKeyPairSync('ed25519')],
  ['EdDSA', generateKeyPairSync('x25519')],
  ['ES256K', generateKeyPairSync('ec', { namedCurve: 'secp256k1' })],
]
const pairs = drawn.map(([alg, { publicKey }]): readonly [string, Jwk] => [
  alg,
  { ...publicKey.export({ format: 'jwk' }), alg, kid: 'a', use: 'sig' },
])

const flipped = (value: unknown): string => {
  const bytes = Buffer.from(String(value), 'base64url')
  if (bytes.length > 0) bytes[bytes.length - 1]! ^= 1
  return bytes.toString('base64url')
}
const longer = (value: unknown): string =>
  Buffer.concat([Buffer.alloc(1), Buffer.from(String(value), 'base64url')]).toString('base64url')

/** One thing that may be wrong with a key. */
const changes: readonly ((jwk: Jwk) => unknown)[] = [
  (jwk) => jwk,
  ...[null, 'key', 1, []].map((value) => () => value),
  ...['kid', 'use', 'kty', 'crv', 'x', 'y', 'n', 'e'].map(
    (name) =>
      ({ [name]: _, ...jwk }: Jwk) =>
        jwk,
  ),
  ...['d', 'k', 'p', 'q', 'dp', 'dq', 'qi', 'oth'].map((name) => (jwk: Jwk) => ({ ...jwk, [name]: 'AQAB' })),
  ...[1, null, {}].map((kid) => (jwk: Jwk) => ({ ...jwk, kid })),
  ...['enc', 1, '', null].map((use) => (jwk: Jwk) => ({ ...jwk, use })),
  ...[['verify'], ['verify', 'sign'], ['sign'], ['verify', 'verify'], [], 'verify', [1, 'verify'], null].map(
    (key_ops) => (jwk: Jwk) => ({ ...jwk, key_ops }),
  ),
  ...['none', 'HS256', 'constructor', 1, null].map((alg) => (jwk: Jwk) => ({ ...jwk, alg })),
  ...['oct', 'rsa', 'EC', 'OKP', 'RSA', 1, 'constructor'].map((kty) => (jwk: Jwk) => ({ ...jwk, kty })),
  ...['P-521', 'Ed448', 'P-256', 'Ed25519', 'constructor', 1].map((crv) => (jwk: Jwk) => ({ ...jwk, crv })),
  ...['x', 'y', 'n', 'e'].flatMap((name) =>
    [flipped, longer, (value: unknown) => `${value}=`, (value: unknown) => `${value}+`, () => '', () => 1].map(
      (change) => (jwk: Jwk) => (name in jwk ? { ...jwk, [name]: change(jwk[name]) } : jwk),
    ),
  ),
  ...['AQ', 'Ag', 'Aw', 'BA', 'AQAB', 'AQAAAAE', 'AAAAAQ'].map((e) => (jwk: Jwk) => ('e' in jwk ? { ...jwk, e } : jwk)),
]

const isTaken = (key: unknown): boolean => typeof key !== 'string'

t.test('RFC 7517 §4, RFC 8725 §3: the same verdict over keys and what may be wrong with them', async (t) => {
  const seen = { taken: 0, refused: 0 }
  for (const [alg, jwk] of pairs) {
    for (const [index, change] of changes.entries()) {
      const key = change(jwk)
      const [here, there] = [readClientKey(key), await importVerificationKey(key)]
      t.equal(isTaken(here), isTaken(there), `${alg} ${index}: ${String(here)}, ${String(there)}`)
      if (isTaken(here)) seen.taken++
      else seen.refused++
    }
  }
  t.ok(seen.taken > 50 && seen.refused > 200, JSON.stringify(seen))
})

t.test('RFC 7518 §3.3: the same verdict over published keys of the algorithms that both have', async (t) => {
  const both = ['RS256', 'PS256', 'ES256', 'EdDSA']
  const groups = [wycheproofJws, wycheproofJwk, wycheproofCrypto].flatMap(({ testGroups }) => testGroups)
  const keysOf = (one: VectorGroup['private']): readonly JWK[] => one.keys ?? [one]
  const published = groups.flatMap(({ public: key, private: secret }) => [
    ...(key ? keysOf(key) : []),
    ...keysOf(secret),
  ])
  let count = 0
  for (const key of [...published, ...printed.jwk.map(({ jwk }) => jwk)]) {
    if (!both.includes(String(key.alg))) continue
    count++
    t.equal(isTaken(readClientKey(key)), isTaken(await importVerificationKey(key)), JSON.stringify(key).slice(0, 100))
  }
  t.ok(count > 20, `${count} keys`)
})
