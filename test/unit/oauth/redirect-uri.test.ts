import fc from 'fast-check'
import t from 'tap'
import { readParameters } from '../../../src/oauth/parameters.js'
import { type ApplicationType, checkRedirectUri, findRedirectUri } from '../../../src/oauth/redirect-uri.js'

// The same cases in every run: a failure repeats.
fc.configureGlobal({ seed: 6749 })

const web = (...registered: readonly string[]) => ({ registered, applicationType: 'web' as const })
const native = (...registered: readonly string[]) => ({ registered, applicationType: 'native' as const })

const refused = { name: 'InvalidRedirectUriError', code: 'invalid_redirect_uri', reason: 'redirect_uri_refused' }

function isRefused(uri: string, applicationType: ApplicationType = 'web'): boolean {
  try {
    checkRedirectUri(uri, applicationType)
    return false
  } catch {
    return true
  }
}

t.test('RFC 6749 §3.1.2.3: the redirect URI of a request is one of the registered', async (t) => {
  const client = web('https://good.example/cb', 'https://good.example/cb?x=1')
  t.equal(findRedirectUri(client, 'https://good.example/cb'), 'https://good.example/cb')
  t.equal(findRedirectUri(client, 'https://good.example/cb?x=1'), 'https://good.example/cb?x=1')
  t.equal(findRedirectUri(client, 'https://other.example/cb'), undefined)
  t.equal(findRedirectUri(client, ''), undefined)
  t.equal(findRedirectUri(web(), 'https://good.example/cb'), undefined)
})

const attacks: Record<string, readonly string[]> = {
  'attack 1: a longer host with the same beginning': [
    'https://good.example.evil.tld/cb',
    'https://good.exampleevil.tld/cb',
    'https://good.example-evil.tld/cb',
  ],
  'attack 2: the host as user information': [
    'https://good.example@evil.tld/cb',
    'https://good.example:443@evil.tld/cb',
    'https://good.example%40evil.tld/cb',
    'https://user@good.example/cb',
    'https://@good.example/cb',
  ],
  'attack 3: another path that leads to the same place, or beyond it': [
    'https://good.example/cb/../x',
    'https://good.example/x/../cb',
    'https://good.example/./cb',
    'https://good.example/%2e%2e/cb',
    'https://good.example/cb/%2e%2e/x',
    'https://good.example/cb/%2E%2E%2Fx',
    'https://good.example/c%62',
    'https://good.example/cb/',
    'https://good.example/cb//',
    'https://good.example//cb',
    'https://good.example/cb;x',
    'https://good.example/cb/x',
    'https://good.example/c',
    'https://good.example/CB',
    'https://good.example/',
    'https://good.example',
  ],
  'attack 4: another spelling of the same host': [
    'https://GOOD.example/cb',
    'HTTPS://good.example/cb',
    'https://good.example:443/cb',
    'https://good.example:/cb',
    'https://good.example:8443/cb',
    'https://good.example./cb',
    'https://xn--good-.example/cb',
    'https://gооd.example/cb', // Cyrillic
    'https://good。example/cb',
    'https://ｇｏｏｄ.example/cb',
    'http://good.example/cb',
  ],
  'attack 5: more query, or a fragment': [
    'https://good.example/cb?',
    'https://good.example/cb?x=1',
    'https://good.example/cb#',
    'https://good.example/cb#x',
    'https://good.example/cb?#',
    'https://good.example/cb&x=1',
  ],
  'attack 6: what parsers disagree about': [
    'https://good.example\\@evil.tld/cb',
    'https://evil.tld\\@good.example/cb',
    'https:\\\\good.example\\cb',
    'https:/good.example/cb',
    'https:good.example/cb',
    'https:evil.tld',
    '//evil.tld',
    '//good.example/cb',
    '/cb',
    'good.example/cb',
    'https://good.example/cb\t',
    'https://good.exa\tmple/cb',
    'https://good.example/cb\n',
    '\nhttps://good.example/cb',
    ' https://good.example/cb',
    'https://good.example/cb ',
    'https://good.example/cb\0',
    'https://good.example/cb%00',
    'https://good.example%00.evil.tld/cb',
    'https://good.example/cb%0d%0aLocation:%20https://evil.tld',
    'https://good.example/cb%0a',
    'https://[good.example]/cb',
  ],
}

for (const [title, uris] of Object.entries(attacks)) {
  t.test(`${title} is not the registered one`, async (t) => {
    for (const uri of uris) {
      t.equal(findRedirectUri(web('https://good.example/cb'), uri), undefined, JSON.stringify(uri))
      t.equal(findRedirectUri(native('https://good.example/cb'), uri), undefined, JSON.stringify(uri))
    }
  })
}

t.test('RFC 8252 §7.3: the port of a native client on a loopback address is free', async (t) => {
  const client = native('http://127.0.0.1/cb?x=1', 'http://[::1]:4000/cb', 'http://127.0.0.1:5000')
  for (const uri of [
    'http://127.0.0.1/cb?x=1',
    'http://127.0.0.1:1/cb?x=1',
    'http://127.0.0.1:49152/cb?x=1',
    'http://127.0.0.1:65535/cb?x=1',
    'http://[::1]/cb',
    'http://[::1]:4000/cb',
    'http://[::1]:65535/cb',
    'http://127.0.0.1:6000',
  ]) {
    t.equal(findRedirectUri(client, uri), uri, uri)
  }
})

t.test('attack 8: nothing but the port of a loopback address is free', async (t) => {
  const client = native('http://127.0.0.1/cb', 'http://[::1]/cb', 'http://localhost:4000/cb', 'https://127.0.0.1/x')
  for (const uri of [
    'http://127.0.0.1:4000/',
    'http://127.0.0.1:4000/cb/',
    'http://127.0.0.1:4000/cb?x=1',
    'http://127.0.0.1:4000/cb#x',
    'http://127.0.0.1:4000/cb/../cb',
    'http://127.0.0.1:4000',
    'http://127.0.0.1:0/cb',
    'http://127.0.0.1:/cb',
    'http://127.0.0.1:080/cb',
    'http://127.0.0.1:65536/cb',
    'http://127.0.0.1:99999/cb',
    'http://127.0.0.1:123456/cb',
    'http://127.0.0.1:-1/cb',
    'http://127.0.0.1:+1/cb',
    'http://127.0.0.1:1e3/cb',
    'http://127.0.0.1:٤٠/cb',
    'http://127.0.0.1:80@evil.tld/cb',
    'http://127.0.0.1:80:80/cb',
    'http://127.0.0.1@evil.tld/cb',
    'http://user@127.0.0.1:4000/cb',
    'http://localhost/cb',
    'http://localhost:5000/cb',
    'http://localhost.evil/cb',
    'http://localhost.evil:4000/cb',
    'http://127.0.0.1.nip.io/cb',
    'http://127.0.0.1.nip.io:4000/cb',
    'http://127.0.0.10:4000/cb',
    'http://127.0.0.2:4000/cb',
    'http://127.1:4000/cb',
    'http://0x7f.1:4000/cb',
    'http://0x7f.1/cb',
    'http://2130706433/cb',
    'http://0177.0.0.1/cb',
    'http://0.0.0.0:4000/cb',
    'http://[::ffff:127.0.0.1]/cb',
    'http://[::ffff:127.0.0.1]:4000/cb',
    'http://[0:0:0:0:0:0:0:1]:4000/cb',
    'http://[::1]evil.tld:4000/cb',
    'http://[::]:4000/cb',
    'HTTP://127.0.0.1:4000/cb',
    'https://127.0.0.1:4000/cb',
    'https://127.0.0.1:4000/x',
    'http:127.0.0.1:4000/cb',
    'http:\\\\127.0.0.1:4000/cb',
    'http://127.0.0.1:4000\\cb',
    'http://127.0.0.1:4000/cb\n',
    'http://127.0.0.1\n:4000/cb',
  ]) {
    t.equal(findRedirectUri(client, uri), undefined, JSON.stringify(uri))
  }
})

t.test('attack 8: the port is not free for a web client', async (t) => {
  const client = web('http://127.0.0.1:4000/cb', 'http://localhost:4000/cb')
  t.equal(findRedirectUri(client, 'http://127.0.0.1:4000/cb'), 'http://127.0.0.1:4000/cb')
  t.equal(findRedirectUri(client, 'http://localhost:4000/cb'), 'http://localhost:4000/cb')
  t.equal(findRedirectUri(client, 'http://127.0.0.1:4001/cb'), undefined)
  t.equal(findRedirectUri(client, 'http://127.0.0.1/cb'), undefined)
})

t.test(
  'RFC 8252 §7.3: the port of a public client’s document is free on loopback, whatever it says it is',
  async (t) => {
    const client = {
      ...web('http://127.0.0.1/cb', 'http://[::1]/cb', 'http://localhost:4000/cb'),
      isPublicDocument: true,
    }
    for (const uri of [
      'http://127.0.0.1:5555/cb',
      'http://[::1]:5555/cb',
      'http://localhost:5555/cb',
      'http://localhost/cb',
    ]) {
      t.equal(findRedirectUri(client, uri), uri, uri)
    }
    for (const uri of [
      'http://localhost:5555/',
      'http://localhost:0/cb',
      'http://localhost:65536/cb',
      'http://localhost:080/cb',
      'http://localhost.evil/cb',
      'http://localhost.evil:5555/cb',
      'http://localhost@evil.tld/cb',
      'http://localhost:80@evil.tld/cb',
      'http://localhost.:5555/cb',
      'http://evil.localhost:5555/cb',
      'http://LOCALHOST:5555/cb',
      'https://localhost:5555/cb',
      'https://127.0.0.1:5555/cb',
    ]) {
      t.equal(findRedirectUri(client, uri), undefined, JSON.stringify(uri))
    }
    const named = { ...web('http://127.0.0.1/cb', 'https://app.example/cb'), isPublicDocument: true }
    t.equal(
      findRedirectUri(named, 'http://localhost:5555/cb'),
      undefined,
      '§8.3: only where the document lists that name',
    )
    t.equal(findRedirectUri(named, 'https://app.example:5555/cb'), undefined, 'only on loopback')
  },
)

t.test('attack 9: redirect_uri given twice is refused before it is compared', async (t) => {
  const twice = 'redirect_uri=https%3A%2F%2Fgood.example%2Fcb&redirect_uri=https%3A%2F%2Fevil.tld'
  t.throws(() => readParameters(twice), { code: 'invalid_request', reason: 'parameter_repeated' })
})

t.test('attack 10: a redirect URI may be left out only where one is registered', async (t) => {
  t.equal(findRedirectUri(web('https://good.example/cb'), undefined), 'https://good.example/cb')
  t.equal(findRedirectUri(web('https://good.example/cb', 'https://good.example/x'), undefined), undefined)
  t.equal(findRedirectUri(web(), undefined), undefined)
})

t.test('RFC 9700 §2.1: a redirect URI is found if, and only if, it is equal', async (t) => {
  const hosts = fc.constantFrom('good.example', 'localhost', '127.0.0.1', '[::1]', 'evil.tld', '127.0.0.1.evil.tld')
  const uris = fc
    .tuple(
      fc.constantFrom('https://', 'http://', 'http:', 'HTTP://'),
      hosts,
      fc.constantFrom('', ':80', ':4000', ':5000', ':0', ':'),
      fc.constantFrom('', '/', '/cb', '/cb/', '/cb?x=1', '?x=1', '@evil.tld/cb', '\\cb', '#x'),
    )
    .map((parts) => parts.join(''))

  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(uris, { maxLength: 3 }), uris, fc.boolean(), (registered, requested, isNative) => {
        const found = findRedirectUri({ registered, applicationType: isNative ? 'native' : 'web' }, requested)
        if (found !== undefined && found !== requested) return false
        const sameButPort = registered.some((uri) => {
          const parts = /^(http:\/\/(?:127\.0\.0\.1|\[::1\]))(:[1-9]\d*)?([/?].*)?$/
          const [one, other] = [parts.exec(uri), parts.exec(requested)]
          return one !== null && other !== null && one[1] === other[1] && one[3] === other[3]
        })
        return (found !== undefined) === (registered.includes(requested) || (isNative && sameButPort))
      }),
      { numRuns: 2000 },
    ),
  )
})

t.test('RFC 8252 §7.3: whatever the port, a native client is sent back to its own machine', async (t) => {
  const paths = fc.webPath().filter((path) => !path.includes('*'))
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.constantFrom('127.0.0.1', '[::1]'),
        paths,
        fc.integer({ min: 0, max: 70_000 }),
        (host, path, port) => {
          const registered = `http://${host}${path}`
          const requested = `http://${host}:${port}${path}`
          const found = findRedirectUri(native(registered), requested)
          if (port === 0 || port > 65_535) return found === undefined
          return found === requested && new URL(found).hostname === host
        },
      ),
    ),
  )
})

t.test('RFC 7591 §3.2.2: what may be registered', async (t) => {
  for (const uri of [
    'https://good.example/cb',
    'https://good.example',
    'https://good.example/',
    'https://good.example?x=1',
    'https://good.example:8443/cb?x=1&y=%C3%A9',
    'https://xn--bcher-kva.example/cb',
    'https://good.example/a.b/..c/d..;e/f~g',
    'https://good.example/cb/',
    'https://192.0.2.1/cb',
    'https://[2001:db8::1]/cb',
    'https://localhost/cb',
    'http://localhost/cb',
    'http://localhost:3000/cb',
    'http://127.0.0.1:3000/cb',
    'http://[::1]/cb',
    'http://127.0.0.1',
  ]) {
    t.doesNotThrow(() => checkRedirectUri(uri, 'web'), uri)
    t.doesNotThrow(() => checkRedirectUri(uri, 'native'), uri)
  }
})

t.test('attacks 2 to 6: what has several readings is not registered', async (t) => {
  // These are well-formed, and somebody's own.
  const plain = new Set([
    'https://good.example/c%62',
    'https://good.example/cb/',
    'https://good.example/cb//',
    'https://good.example//cb',
    'https://good.example/cb;x',
    'https://good.example/cb/x',
    'https://good.example/c',
    'https://good.example/CB',
    'https://good.example/',
    'https://good.example',
    'https://good.example:8443/cb',
    'https://xn--good-.example/cb',
    'https://good.example/cb?',
    'https://good.example/cb?x=1',
    'https://good.example/cb&x=1',
  ])
  const { 'attack 1: a longer host with the same beginning': _, ...others } = attacks
  for (const uri of Object.values(others).flat()) {
    if (plain.has(uri)) t.doesNotThrow(() => checkRedirectUri(uri, 'web'), uri)
    else {
      t.throws(() => checkRedirectUri(uri, 'web'), refused, JSON.stringify(uri))
      t.ok(isRefused(uri, 'native'), JSON.stringify(uri))
    }
  }
  for (const uri of [
    '',
    'https:',
    'https://',
    'https:///cb',
    'https://good.example:0/cb',
    'https://good.example:65536/cb',
    'https://good.example/cb%',
    'https://good.example/cb%zz',
    'https://good.example/%2E',
    'https://good.example/a%2fb',
    'https://good.example/a%5cb',
    'https://good.example/cb?x=%00',
    'https://good.example/cb?x=%7f',
    'https://good.example/cb"',
    'https://good.example/cb<x>',
    'https://good.example/é',
    `https://good.example/${'a'.repeat(2048)}`,
  ]) {
    t.throws(() => checkRedirectUri(uri, 'web'), refused, JSON.stringify(uri))
    t.ok(isRefused(uri, 'native'), JSON.stringify(uri))
  }
})

t.test('attack 7: javascript, data, vbscript, file and the like are not registered', async (t) => {
  for (const uri of [
    'javascript:alert(1)',
    'JavaScript:alert(1)',
    'javascript://good.example/%0aalert(1)',
    'java\tscript:alert(1)',
    ' javascript:alert(1)',
    'data:text/html,x',
    'data:text/html;base64,PHNjcmlwdD4=',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://good.example/1',
    'about:blank',
    'view-source:https://good.example/',
    'filesystem:https://good.example/',
    'ws://good.example/cb',
    'ftp://good.example/cb',
    'intent://good.example/#Intent;end',
    'mailto:a@good.example',
    'urn:ietf:wg:oauth:2.0:oob',
  ]) {
    for (const applicationType of ['web', 'native'] as const) {
      t.throws(() => checkRedirectUri(uri, applicationType), refused, `${applicationType} ${uri}`)
    }
  }
})

t.test('attack 8: http is registered on the three names of this machine alone', async (t) => {
  for (const uri of [
    'http://good.example/cb',
    'http://localhost.evil/cb',
    'http://evil.localhost/cb',
    'http://localhost./cb',
    'http://LOCALHOST/cb',
    'http://127.0.0.1.nip.io/cb',
    'http://127.0.0.2/cb',
    'http://127.1/cb',
    'http://0x7f.1/cb',
    'http://2130706433/cb',
    'http://0.0.0.0/cb',
    'http://[::ffff:127.0.0.1]/cb',
    'http://[::ffff:7f00:1]/cb',
    'http://[0:0:0:0:0:0:0:1]/cb',
    'http://localhost:80/cb',
    'http://10.0.0.1/cb',
  ]) {
    for (const applicationType of ['web', 'native'] as const) {
      t.throws(() => checkRedirectUri(uri, applicationType), refused, `${applicationType} ${uri}`)
    }
  }
})

t.test('attack 13, RFC 8252 §7.1: a private-use scheme is a reversed domain name of a native app', async (t) => {
  for (const uri of [
    'com.example.app:/cb',
    'com.example.app:/',
    'com.example.app://cb',
    'com.example.my-app:/cb?x=1',
    'com.googleusercontent.apps.123-abc:/cb',
  ]) {
    t.doesNotThrow(() => checkRedirectUri(uri, 'native'), uri)
    t.throws(() => checkRedirectUri(uri, 'web'), refused, uri)
  }
  for (const uri of [
    'myapp:/cb',
    'myapp://cb',
    'com.example.app:',
    'com.example.app:cb',
    'com.example.app://user@cb',
    'com.example.app:/cb#x',
    'com.example.app:/a/../cb',
    'com.example.app:/..',
    'com.example.app:/%2e%2e/cb',
    'com.example.app:/cb%00',
    'Com.Example.App:/cb',
    'com..app:/cb',
    '.com.app:/cb',
    'com.app.:/cb',
    'com.example+app:/cb',
    'com.example.app:/*',
  ]) {
    t.throws(() => checkRedirectUri(uri, 'native'), refused, uri)
  }
})

t.test('attack 14: a wildcard is not registered', async (t) => {
  for (const uri of [
    '*',
    'https://*',
    'https://*.good.example/cb',
    'https://good.example/*',
    'https://good.example/cb?x=*',
    'https://good.example:*/cb',
    'http://localhost:*/cb',
    'com.example.*:/cb',
  ]) {
    t.throws(() => checkRedirectUri(uri, 'native'), refused, uri)
    t.throws(() => checkRedirectUri(uri, 'web'), refused, uri)
  }
})

t.test(
  'RFC 9700 §2.1: whatever is registered has one spelling, and the browser finds the host that stands there',
  async (t) => {
    const piece = fc.constantFrom(
      'https://',
      'http://',
      'https:',
      'com.example.app:/',
      'good.example',
      'localhost',
      '127.0.0.1',
      '[::1]',
      'evil.tld',
      '@',
      ':',
      '/',
      '//',
      '\\',
      '..',
      '.',
      '?',
      '#',
      '%2e',
      '%2f',
      '%00',
      '%41',
      ':443',
      ':80',
      'A',
      ' ',
      '\t',
      '*',
      ';',
    )
    const uris = fc.oneof(
      fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
      fc.array(piece, { maxLength: 5 }).map((pieces) => `https://good.example/${pieces.join('')}`),
      fc.webUrl({ withQueryParameters: true, withFragments: true }),
    )
    t.doesNotThrow(() =>
      fc.assert(
        fc.property(uris, (uri) => {
          if (isRefused(uri)) return true
          const url = new URL(uri)
          return (
            (url.href === uri || url.href.replace(/^([a-z]+:\/\/[^/]+)\//, '$1') === uri) &&
            url.username === '' &&
            url.hash === '' &&
            uri.startsWith(`${url.protocol}//${url.host}`) &&
            (url.protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname))
          )
        }),
        { numRuns: 3000 },
      ),
    )
  },
)

t.test('attack 132: the time to check a URI grows with its length alone', async (t) => {
  const pieces = ['a', 'a.', 'a-', '.', '/', '/.', '%2e', '%', ':', '@', '?', 'http://127.0.0.1:', '1']
  const start = process.cpuUsage()
  for (const piece of pieces) {
    for (const prefix of ['', 'https://', 'http://127.0.0.1:', 'a.']) {
      const uri = prefix + piece.repeat(20_000)
      isRefused(uri, 'native')
      isRefused(uri.slice(0, 2048), 'native')
      findRedirectUri(native('http://127.0.0.1/cb', uri), `${uri}x`)
    }
  }
  const { user } = process.cpuUsage(start)
  t.ok(user < 2_000_000, `${user} µs`)
})
