import fc from 'fast-check'
import t from 'tap'
import * as ofPackage from '../../packages/resource-server/src/api-keys/format.js'
import { normaliseAddress } from '../../packages/resource-server/src/limits/address.js'
import { isInNetworks, isLoopbackAddress } from '../../packages/resource-server/src/limits/network.js'
import { drawApiKey, drawApiKeyId, findApiKeys, looksLikeApiKey, parseApiKey } from '../../src/api-keys/format.js'
import { isInNetwork, parseNetwork } from '../../src/platform/network.js'
import { SeededRandom } from '../support/random.js'

const random = new SeededRandom('api keys of the package')
const draw = (prefix = 'sk') => drawApiKey(random, { prefix, environment: 'live', id: drawApiKeyId(random) })

t.test('attack 113: the package and the server take the same for a key', async (t) => {
  const key = draw()
  t.same(ofPackage.parseApiKey(key), { prefix: 'sk', environment: 'live', id: key.slice(8, 24) })
  const letters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_- é'
  fc.assert(
    fc.property(fc.nat(key.length - 1), fc.nat(letters.length - 1), fc.nat(2), (at, letter, cut) => {
      const changed = `${key.slice(0, at)}${letters[letter]}${key.slice(at + cut)}`
      t.same(ofPackage.parseApiKey(changed), parseApiKey(changed))
      return ofPackage.looksLikeApiKey(changed) === looksLikeApiKey(changed)
    }),
    { seed: 1, numRuns: 2000 },
  )
  for (let count = 0; count < 500; count++) {
    const drawn = draw(['a', 'pk', 'abcdefghijklmnop'][count % 3])
    t.ok(ofPackage.parseApiKey(drawn))
    for (const text of [`x=1&key_${drawn}-`, `/${drawn}_old.txt`, `a_b_${drawn}_c_d`]) {
      t.same(ofPackage.findApiKeys(text), [drawn])
      t.same(
        findApiKeys(text).map((found) => found.text),
        [drawn],
      )
    }
  }
  t.same(ofPackage.findApiKeys(`${key},${draw().slice(0, -1)}0,x${key}`).length, 1, 'the checksum decides')
  for (const text of ['', '_'.repeat(100_000), 'a_'.repeat(50_000), `${key}`.repeat(1000)]) {
    t.same(ofPackage.findApiKeys(text), [])
    t.equal(ofPackage.parseApiKey(text), undefined)
  }
})

t.test('attack 101: an address is in a network for the package as it is for the server', async (t) => {
  const addresses = [
    ...['192.0.2.7', '::ffff:192.0.2.7', '::FFFF:c000:0207', '0:0:0:0:0:ffff:192.0.2.7', '2001:DB8:0:0:0:0:0:1'],
    ...['2001:0db8::0001', '2001:db8:0:1:0:0:0:1', 'fe80::1%eth0', 'fe80::1%', '::1', '::', '[2001:db8::1]'],
    ...['[2001:db8::1]:443', '192.0.2.7:51234', '192.0.2.129', '127.0.0.1', '::ffff:127.0.0.1', '10.255.255.255'],
    ...['', 'unknown', '_hidden', '010.0.0.1', '1.2.3', '1.2.3.4.5', '256.0.0.1', '0x7f.1', '1.2.3.4\n', '::1::'],
    ...[
      '1.2.3.4, 5.6.7.8',
      ':::',
      '[::1',
      '[1.2.3.4',
      '12345::',
      "'; DROP TABLE--",
      '%'.repeat(1000),
      '1'.repeat(1000),
    ],
  ]
  const networks = [
    ...['192.0.2.0/24', '192.0.2.7/32', '192.0.2.128/25', '10.0.0.0/8', '127.0.0.0/8', '::ffff:192.0.2.0/120'],
    ...['2001:db8::/48', '2001:db8::1/128', '2001:db8:0:1::/64', 'fe80::/10', '::1/128', '2001:db8::/33'],
  ].map((each) => parseNetwork(each) ?? t.fail(each))
  for (const address of addresses) {
    for (const network of networks) {
      t.equal(
        isInNetworks(address, [String(network)]),
        isInNetwork(address, String(network)),
        `${address} in ${network}`,
      )
    }
  }
  t.equal(isInNetworks('192.0.2.7', ['0.0.0.0/0']), true)
  t.equal(isInNetworks('192.0.2.7', ['::/0']), false)
  t.equal(isInNetworks('192.0.2.7', ['10.0.0.0/8', '192.0.2.0/24']), true, 'one of them is enough')
  for (const unknown of [undefined, '', 'unknown']) {
    t.equal(isInNetworks(unknown, ['0.0.0.0/0', '::/0']), false, 'of what is not known nothing is said')
  }
  for (const none of ['', '192.0.2.0', '192.0.2.0/33', '192.0.2.0/', '/24', 'x/0', '::/129', 'unknown/0']) {
    t.equal(isInNetworks('192.0.2.0', [none]), false, none)
    t.equal(isInNetworks('::', [none]), false, none)
  }
  for (const here of ['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1']) t.ok(isLoopbackAddress(here), here)
  for (const there of ['128.0.0.1', '::2', undefined, 'localhost']) t.notOk(isLoopbackAddress(there), String(there))
  t.equal(normaliseAddress('2001:DB8::0:1'), '2001:db8::1')
})
