import fc from 'fast-check'
import t from 'tap'
import { normaliseEmail } from '../../../src/identity/email.js'

t.test('attack 108: two spellings of an address are one', async (t) => {
  for (const [text, expected] of [
    ['ann@example.com', 'ann@example.com'],
    ['Ann.Lee@Example.COM', 'ann.lee@example.com'],
    ['  ann@example.com\n', 'ann@example.com'],
    ['ａｎｎ@ｅxample.com', 'ann@example.com'],
    ['ann+tag@example.com', 'ann+tag@example.com'],
    ['jürgen@bücher.example', 'jürgen@xn--bcher-kva.example'],
    ['ju\u0308rgen@BU\u0308CHER.example', 'jürgen@xn--bcher-kva.example'],
    ['ann@xn--bcher-kva.example', 'ann@xn--bcher-kva.example'],
    ['用户@例子.广告', '用户@xn--fsqu00a.xn--4rr70v'],
    ['o’neil@example.com', undefined],
    ["o'neil@example.com", "o'neil@example.com"],
    ['root@localhost', 'root@localhost'],
    ['ﬁrst@example.com', 'first@example.com'],
    ['K@example.com', 'k@example.com'],
  ] as const) {
    t.equal(normaliseEmail(text), expected, JSON.stringify(text))
  }
})

t.test('attack 108: what could be read as another address, or as more than one, is none', async (t) => {
  for (const text of [
    '',
    '@',
    'ann',
    'ann@',
    '@example.com',
    'ann@@example.com',
    'ann@example.com@evil.example',
    'ann＠example.com',
    'ann﹫example.com',
    'ann@example＠evil.com',
    'ann@example.com\r\nBcc: eve@example.com',
    'ann@exam\nple.com',
    'ann\u0000@example.com',
    'an n@example.com',
    'ann\u00a0x@example.com',
    'ann\u200b@example.com',
    'ann\u202e@example.com',
    'ann\u00ad@example.com',
    '"ann"@example.com',
    'ann@[127.0.0.1]',
    'ann@127.0.0.1',
    'ann@1',
    'ann@0x7f.1',
    'ann@example.com.',
    'ann@.example.com',
    'ann@exa..mple.com',
    'ann@-example.com',
    'ann@example-.com',
    'ann@exa%6dple.com',
    'ann@example.com/path',
    'ann@example.com:25',
    'ann@example.com?x',
    '.ann@example.com',
    'ann.@example.com',
    'a..n@example.com',
    'ann‥lee@example.com',
    'ann,bob@example.com',
    'Ann <ann@example.com>',
    'ann;bob@example.com',
    'ann\\@example.com',
    `${'a'.repeat(65)}@example.com`,
    `a@${'b'.repeat(64)}.com`,
    `a@${'b.'.repeat(130)}com`,
    'ﷺ'.repeat(100),
    'a'.repeat(100_000),
  ]) {
    t.equal(normaliseEmail(text), undefined, JSON.stringify(text.slice(0, 60)))
  }
})

t.test('a normalised address is its own normal form, short and on one line', async (t) => {
  const anything = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.emailAddress(),
    fc.tuple(fc.string({ unit: 'grapheme', maxLength: 8 }), fc.domain()).map(([local, domain]) => `${local}@${domain}`),
  )
  fc.assert(
    fc.property(anything, (text) => {
      const address = normaliseEmail(text)
      if (address === undefined) return
      t.equal(normaliseEmail(address), address)
      t.ok(address.length <= 254 && !/[\p{C}\p{Z}]/u.test(address) && address.split('@').length === 2)
    }),
    { numRuns: 1000, seed: 1 },
  )
})
