import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { apiKeyPattern, drawApiKey, drawApiKeyId, isApiKeyId, parseApiKey } from '../../../src/api-keys/format.js'
import { randomBase62, toBase62 } from '../../../src/platform/base62.js'
import { SeededRandom } from '../../support/random.js'

const random = new SeededRandom('api keys')
const draw = () => drawApiKey(random, { prefix: 'sk', environment: 'live', id: drawApiKeyId(random) })

t.test('a key says its prefix, environment and id, and scanners find it', async (t) => {
  const key = draw()
  t.match(key, /^sk_live_[0-9A-Za-z]{65}$/)
  t.same(parseApiKey(key), { prefix: 'sk', environment: 'live', id: key.slice(8, 24) })
  t.ok(isApiKeyId(key.slice(8, 24)))
  const [found] = new RegExp(apiKeyPattern, 'g').exec(`const key = "${key}" // do not commit`) ?? []
  t.equal(found, key)
  const published = readFileSync(new URL('../../../docs/api-keys.md', import.meta.url), 'utf8')
  t.ok(published.includes(`\n${apiKeyPattern}\n`), 'the expression that is published')
})

t.test('the checksum is CRC-32 in base62', async (t) => {
  // CRC-32 of "123456789" is cbf43926: the check value of the CRC catalogue.
  t.equal(toBase62(0xcbf43926, 6), '3jZRME')
  t.equal(toBase62(0, 6), '000000')
  t.equal(toBase62(0xffffffff, 6), '4gfFC3')
})

t.test('attack 113: a key that was mistyped is refused before any lookup', async (t) => {
  const key = draw()
  const letters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
  fc.assert(
    fc.property(fc.nat(key.length - 1), fc.nat(61), (at, letter) => {
      const changed = `${key.slice(0, at)}${letters[letter]}${key.slice(at + 1)}`
      return changed === key || parseApiKey(changed) === undefined
    }),
    { seed: 1, numRuns: 2000 },
  )
  // Two neighbours that changed places, which people do.
  for (let at = 8; at < key.length - 1; at++) {
    const swapped = `${key.slice(0, at)}${key[at + 1]}${key[at]}${key.slice(at + 2)}`
    if (swapped !== key) t.equal(parseApiKey(swapped), undefined)
  }
  for (const text of ['', 'sk_live_', key.slice(1), `${key} `, ` ${key}`, `${key}\n`, key.toUpperCase(), `sk${key}`]) {
    t.equal(parseApiKey(text), undefined, JSON.stringify(text))
  }
})

t.test('letters and digits are drawn evenly', async (t) => {
  const counts = new Map<string, number>()
  for (const letter of randomBase62(random, 62_000)) counts.set(letter, (counts.get(letter) ?? 0) + 1)
  t.equal(counts.size, 62)
  // 1,000 of each, with a deviation of 31.
  for (const [letter, count] of counts) t.ok(count > 840 && count < 1160, `${letter}: ${count}`)
})
