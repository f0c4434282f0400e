import fc from 'fast-check'
import t from 'tap'
import { displayHost, displayName, displayText, UNNAMED, webHref } from '../../../src/ui/display.js'
import { durationText } from '../../../src/ui/index.js'

t.test('attack 98: what cannot be seen is taken out of a client’s name', async (t) => {
  t.equal(displayName('\u202EelgooG\u202C'), 'elgooG', 'right-to-left override')
  t.equal(displayName('\u2067Goo\u2069gle\u061C\u200E'), 'Google', 'isolates and marks')
  t.equal(displayName('Goo\u200Bg\u200Cl\u200D\u2060e\uFEFF\u00AD'), 'Google', 'zero-width characters')
  t.equal(displayName('Goo\u3164gle\u115F\uFE0F\u{E0041}\u{E0100}'), 'Google', 'fillers, selectors and tags')
  t.equal(displayName('a\u0000b\u0007c\u009Fd\uD800'), 'abcd', 'controls and half characters')
})

t.test('attack 98: compatibility forms are folded (NFKC)', async (t) => {
  t.equal(displayName('Ｇｏｏｇｌｅ'), 'Google')
  t.equal(displayName('𝐆𝐨𝐨𝐠𝐥𝐞'), 'Google')
  t.equal(displayName('Cafe\u0301'), 'Café')
  t.equal(displayName('e\u200B\u0301'), 'é', 'also across what was taken out')
})

t.test('spaces of every kind become one', async (t) => {
  t.equal(displayName('  Acme\r\n\t Notes\u00A0\u2003\u2028App\u2800 '), 'Acme Notes App')
})

t.test('marks do not pile up', async (t) => {
  t.equal(displayName(`Z${'\u0336'.repeat(50)}o`), `Z${'\u0336'.repeat(3)}o`)
})

t.test('a long name is cut between characters', async (t) => {
  const long = displayName('x'.repeat(10_000))
  t.equal(long, `${'x'.repeat(79)}…`)
  t.equal(displayName('x'.repeat(80)), 'x'.repeat(80))
  t.match(displayName('😀'.repeat(100)), /^(?:😀){39}…$/u)
  t.equal(displayName('\uFDFA'.repeat(10_000)).length <= 80, true, 'one that grows by normalising')
})

t.test('a name of which nothing is left has a stand-in', async (t) => {
  for (const name of ['', ' \n ', '\u200B\u202E', '\u3164']) t.equal(displayName(name), UNNAMED)
  t.equal(displayText('\u200B', 10), '')
})

t.test('names in other scripts stay what they are', async (t) => {
  for (const name of ['日本語アプリ', 'تطبيق الملاحظات', 'Заметки', 'हिन्दी नोट', 'Ghi chú tiếng Việt'])
    t.equal(displayName(name), name.normalize('NFKC'))
})

t.test('whatever goes in, a name is short, visible and on one line', async (t) => {
  const nasty = fc.string({ unit: 'binary', maxLength: 300 })
  const isFit = (name: string) =>
    name.length > 0 &&
    name.length <= 80 &&
    name === name.trim() &&
    !/[\p{C}\p{Default_Ignorable_Code_Point}]|\s\s|[\n\r\u2028]/u.test(name)
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(nasty, (text) => isFit(displayName(text))),
      { seed: 98, numRuns: 2_000 },
    ),
  )
})

t.test('attack 98: a host is shown in ASCII', async (t) => {
  t.equal(displayHost('notes.example.com'), 'notes.example.com')
  t.equal(displayHost('localhost:8080'), 'localhost:8080')
  t.equal(displayHost('[::1]:8080'), '[::1]:8080')
  t.equal(displayHost('com.example.app'), 'com.example.app')
  t.equal(displayHost('\u0430pple.com'), 'xn--pple-43d.com', 'a Cyrillic letter')
  t.equal(displayHost('a b\u202Ec'), 'a?b?c', 'what is no host at all')
})

t.test('of a long host the end is kept, which says whose it is', async (t) => {
  const host = displayHost(`${'accounts.google.com.'.repeat(50)}evil.example`)
  t.equal(host.length, 253)
  t.match(host, /^….*\.evil\.example$/)
})

t.test('attack 127: only web addresses become links', async (t) => {
  for (const href of ['https://a.example/p?q#f', 'http://localhost:1/', '/', '?again', '/authorize?x=1'])
    t.equal(webHref(href), href)
  for (const href of [
    'javascript:alert(1)',
    ' JavaScript:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc/passwd',
    'com.example.app:/cb',
    'https://bank.example@evil.example/',
    'http://[',
  ]) {
    t.equal(webHref(href), undefined, JSON.stringify(href))
  }
})

t.test('seconds are told in words and rounded up', async (t) => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '1 second'],
    [0.2, '1 second'],
    [45, '45 seconds'],
    [60, '1 minute'],
    [119, '119 seconds'],
    [120, '2 minutes'],
    [121, '3 minutes'],
    [600, '10 minutes'],
    [3600, '1 hour'],
    [7201, '3 hours'],
    [86_400 * 3, '3 days'],
  ]
  for (const [seconds, text] of cases) t.equal(durationText(seconds), text)
})
