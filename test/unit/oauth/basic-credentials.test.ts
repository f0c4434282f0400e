import fc from 'fast-check'
import t from 'tap'
import { basicChallenge, parseBasicCredentials } from '../../../src/oauth/basic-credentials.js'

// The same cases in every run: a failure repeats.
fc.configureGlobal({ seed: 6749 })

const basic = (text: string | Uint8Array) => `Basic ${Buffer.from(text).toString('base64')}`

t.test('RFC 7617 §2: id and secret are what stands before and after the first colon', async (t) => {
  t.strictSame(parseBasicCredentials(basic('app:secret')), { clientId: 'app', clientSecret: 'secret' })
  t.strictSame(parseBasicCredentials(basic('app:a:b:')), { clientId: 'app', clientSecret: 'a:b:' })
  t.strictSame(parseBasicCredentials(basic('app:')), { clientId: 'app', clientSecret: '' })
})

t.test('RFC 9110 §11.1: the scheme is case-insensitive', async (t) => {
  t.ok(parseBasicCredentials(basic('app:secret').replace('Basic', 'bAsIc')))
  t.ok(parseBasicCredentials(basic('app:secret').replace(' ', '  ')))
})

t.test('RFC 6749 §2.3.1: both halves are form-urlencoded, so a + is a space', async (t) => {
  t.strictSame(parseBasicCredentials(basic('https%3A%2F%2Fapp.example%2F:a+b%2Bc%25')), {
    clientId: 'https://app.example/',
    clientSecret: 'a b+c%',
  })
  t.strictSame(parseBasicCredentials(basic('app:%C3%A9')), { clientId: 'app', clientSecret: 'é' })
})

t.test('attack 68: what is malformed is no credentials', async (t) => {
  const good = basic('app:secret')
  for (const header of [
    '',
    'Basic',
    'Basic ',
    `Basic\t${good.slice(6)}`,
    ` ${good}`,
    `${good} `,
    `${good}, ${good}`,
    `${good}\n`,
    good.replace('Basic', 'Bearer'),
    good.replace('Basic', 'Basicx'),
    `Basic ${Buffer.from('app:secret?>').toString('base64url')}`,
    `Basic ${Buffer.from('app:secre').toString('base64').replace(/=+$/, '')}x=`,
    `Basic ${Buffer.from('app:secrets').toString('base64').replace(/=+$/, '')}`,
    'Basic YXBwOnNlY3JldHN=', // padding bits that are not zero
    'Basic YXBw OnNlY3JldA==',
    'Basic YXBwOnNlY3JldA===',
    'Basic =',
    'Basic !!!!',
    basic('appsecret'), // no colon
    basic(':secret'), // nobody
    basic('%zz:secret'),
    basic('app:100%'),
    basic('app:%ff'),
    basic('app:%00'),
    basic('app%0a:secret'),
    basic('app:a\0b'),
    basic('app:a\nb'),
    basic('app:é'), // not urlencoded
    basic(Uint8Array.of(0x61, 0x3a, 0xff)),
    basic(Uint8Array.of(0x61, 0x3a, 0xc3)),
    basic(Uint8Array.of(0x61, 0x3a, 0xed, 0xa0, 0x80)),
    basic(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61, 0x3a, 0x62)),
  ]) {
    t.equal(parseBasicCredentials(header), undefined, JSON.stringify(header))
  }
})

t.test('RFC 6749 §2.3.1: whatever a client encodes arrives', async (t) => {
  const visible = fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => text.replace(/[\p{Cc}\ufffd]/gu, '_'))
  const encode = (text: string) => new URLSearchParams([['', text]]).toString().slice(1)
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(visible, visible, (clientId, clientSecret) => {
        const read = parseBasicCredentials(basic(`${encode(clientId)}:${encode(clientSecret)}`))
        return read?.clientId === clientId && read.clientSecret === clientSecret
      }),
    ),
  )
})

t.test('attack 68: no header makes it throw', async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.uint8Array().map(basic), fc.string().map(basic)), (header) => {
        parseBasicCredentials(header)
        return true
      }),
    ),
  )
})

t.test('RFC 7617 §2.1: the challenge names realm and charset', async (t) => {
  t.equal(basicChallenge('https://id.example.com'), 'Basic realm="https://id.example.com", charset="UTF-8"')
  t.equal(basicChallenge('a"b\\c\r\nd é'), 'Basic realm="a\\"b\\\\cd ", charset="UTF-8"')
})
