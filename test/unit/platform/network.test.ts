import t from 'tap'
import {
  commonNetworks,
  isInNetwork,
  isLetIn,
  isLoopbackHost,
  isNoWider,
  networkOf,
  normaliseAddress,
  parseNetwork,
  siteOf,
  UNKNOWN_ADDRESS,
} from '../../../src/platform/network.js'

t.test('attack 101: an address has one spelling', async (t) => {
  for (const [address, expected] of [
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:c000:0207', '192.0.2.7'],
    ['0:0:0:0:0:ffff:192.0.2.7', '192.0.2.7'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:0:1:0:0:0:1', '2001:db8:0:1::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['fe80::1%', 'fe80::1'],
    ['::1', '::1'],
    ['::', '::'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['192.0.2.7:51234', '192.0.2.7'],
  ] as const) {
    t.equal(normaliseAddress(address), expected, address)
    t.equal(normaliseAddress(normaliseAddress(address)), expected)
  }
})

t.test('what is no address is counted as one, whatever it says', async (t) => {
  for (const address of [
    '',
    'unknown',
    '_hidden',
    '010.0.0.1',
    '1.2.3',
    '1.2.3.4.5',
    '256.0.0.1',
    '0x7f.1',
    '1.2.3.4\n',
    '1.2.3.4, 5.6.7.8',
    '::1::',
    ':::',
    '[::1',
    '[1.2.3.4',
    '12345::',
    "'; DROP TABLE--",
    '%'.repeat(100_000),
    '1'.repeat(100_000),
  ]) {
    t.equal(normaliseAddress(address), UNKNOWN_ADDRESS, JSON.stringify(address.slice(0, 30)))
    t.equal(networkOf(address), '0.0.0.0/24')
  }
})

t.test('attack 101: and by the /48 that holds 65,536 of these', async (t) => {
  t.equal(siteOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1::/48')
  t.equal(siteOf('2001:DB8:1:ffff::'), '2001:db8:1::/48')
  t.equal(siteOf('2001:db8::1'), '2001:db8::/48')
  t.equal(siteOf('::1'), '::/48')
  t.equal(siteOf('fe80::1%eth0'), 'fe80::/48')
  for (const none of ['192.0.2.1', '::ffff:192.0.2.1', 'nonsense']) t.equal(siteOf(none), undefined, none)
})

t.test('attack 101: failures are counted by /24 and /64', async (t) => {
  t.equal(networkOf('192.0.2.7'), '192.0.2.0/24')
  t.equal(networkOf('::ffff:192.0.2.255'), '192.0.2.0/24')
  t.not(networkOf('192.0.3.7'), networkOf('192.0.2.7'))

  t.equal(networkOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  t.equal(networkOf('2001:db8:1:2::'), '2001:db8:1:2::/64')
  t.equal(networkOf('2001:db8::1'), '2001:db8::/64')
  t.equal(networkOf('2001:db8:0:1::1'), '2001:db8:0:1::/64')
  t.equal(networkOf('::1'), '::/64')
  t.equal(networkOf('fe80::1%eth0'), 'fe80::/64')
  t.equal(networkOf('0:0:1:0:5::'), '0:0:1::/64')
})

t.test('loopback is localhost, 127.0.0.0/8 and ::1, and nothing that looks like it', async (t) => {
  for (const host of ['localhost', 'LOCALHOST', '127.0.0.1', '127.255.0.1', '::1', '[::1]', '0:0:0:0:0:0:0:1']) {
    t.equal(isLoopbackHost(host), true, host)
  }
  for (const host of [
    'localhost.evil.example',
    '127.0.0.1.nip.io',
    '0.0.0.0',
    '::',
    '128.0.0.1',
    '0x7f.1',
    '127.1',
    '',
  ]) {
    t.equal(isLoopbackHost(host), false, host)
  }
})

t.test('a network has one spelling', async (t) => {
  for (const [text, expected] of [
    ['192.0.2.0/24', '192.0.2.0/24'],
    ['192.0.2.7', '192.0.2.7/32'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['::ffff:192.0.2.0/120', '192.0.2.0/24'],
    ['2001:DB8::/48', '2001:db8::/48'],
    ['2001:db8::1', '2001:db8::1/128'],
    ['::/0', '::/0'],
  ] as const) {
    t.equal(parseNetwork(text), expected, text)
  }
  for (const text of [
    '',
    '192.0.2.0/33',
    '192.0.2.7/24',
    '2001:db8::1/64',
    '::ffff:192.0.2.0/24',
    '192.0.2/24',
    '192.0.2.0/-1',
    '192.0.2.0/24/8',
    'example.com',
    'fe80::%eth0/10',
    `${'1'.repeat(50)}`,
  ]) {
    t.equal(parseNetwork(text), undefined, text)
  }
})

t.test('attack 101: an address is in a network however it is written', async (t) => {
  for (const [address, network, expected] of [
    ['192.0.2.255', '192.0.2.0/24', true],
    ['192.0.3.0', '192.0.2.0/24', false],
    ['::ffff:192.0.2.9', '192.0.2.0/24', true],
    ['192.0.2.9', '0.0.0.0/0', true],
    ['192.0.2.9', '::/0', false],
    ['192.0.2.129', '192.0.2.128/25', true],
    ['192.0.2.127', '192.0.2.128/25', false],
    ['2001:db8:0:ffff::1', '2001:db8::/48', true],
    ['2001:db8:1::1', '2001:db8::/48', false],
    ['2001:db8::1', '2001:db8::1/128', true],
    ['unknown', '192.0.2.0/24', false],
    // Stands for what could not be read: in the network of all of them, and in no other.
    ['unknown', '10.0.0.0/8', false],
  ] as const) {
    t.equal(isInNetwork(address, network), expected, `${address} in ${network}`)
  }
})

t.test('a list of networks lets in whom it names, and without one everybody', (t) => {
  t.ok(isLetIn(undefined, []))
  t.ok(isLetIn('203.0.113.1', []))
  t.ok(isLetIn('::ffff:192.0.2.1', ['2001:db8::/64', '192.0.2.0/24']))
  t.notOk(isLetIn('192.0.3.1', ['2001:db8::/64', '192.0.2.0/24']))
  for (const address of [undefined, '', 'unknown', '0.0.0.0', 'fe80::zz']) {
    t.notOk(isLetIn(address, ['0.0.0.0/0', '::/0']), 'what is not known is nowhere')
  }
  t.end()
})

t.test('of two lists everybody is let in whom both let in, and an empty one lets in everybody', async (t) => {
  for (const [some, others, common] of [
    [[], [], []],
    [['192.0.2.0/24'], [], ['192.0.2.0/24']],
    [['192.0.2.0/24'], ['192.0.2.0/24'], ['192.0.2.0/24']],
    [['192.0.2.0/24'], ['192.0.2.128/25', '2001:db8::/32'], ['192.0.2.128/25']],
    [
      ['0.0.0.0/0', '2001:db8:0:1::/64'],
      ['192.0.2.7/32', '2001:db8::/32'],
      ['2001:db8:0:1::/64', '192.0.2.7/32'],
    ],
    [['192.0.2.0/25'], ['192.0.2.128/25'], undefined],
    [['0.0.0.0/0'], ['::/0'], undefined],
    [['192.0.2.0/31'], ['192.0.2.2/31'], undefined],
  ] as const) {
    const which = `${some} and ${others}`
    t.same(commonNetworks(some, others), common, which)
    const turned = commonNetworks(others, some)
    t.same(turned?.toSorted(), common?.toSorted(), `${which}, turned`)
    for (const address of ['192.0.2.7', '192.0.2.200', '2001:db8:0:1::7', '2001:db8:0:2::7', '::1', '198.51.100.7']) {
      const both = isLetIn(address, some) && isLetIn(address, others)
      t.equal(common !== undefined && isLetIn(address, common), both, `${address} of ${which}`)
    }
  }
})

t.test('a list is no wider than another that holds each of its networks', async (t) => {
  for (const [networks, others, expected] of [
    [[], [], true],
    [['192.0.2.0/24'], [], true],
    [[], ['0.0.0.0/0', '::/0'], false],
    [['192.0.2.0/25', '192.0.2.128/25'], ['192.0.2.0/24'], true],
    [['192.0.2.0/24'], ['192.0.2.0/25', '192.0.2.128/25'], false],
    [['192.0.2.0/24'], ['192.0.2.0/25'], false],
    [['192.0.2.7/32', '2001:db8::/48'], ['192.0.2.0/24', '2001:db8::/32'], true],
    [['192.0.2.7/32', '2001:db8::/48'], ['192.0.2.0/24'], false],
  ] as const) {
    t.equal(isNoWider(networks, others), expected, `${networks} in ${others}`)
  }
})
