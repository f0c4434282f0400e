import fc from 'fast-check'
import t from 'tap'
import type { RequestLike } from '../../packages/resource-server/src/index.js'
import { keyId, makeSigningKey, origin, post, type Sent, signedScene, withHeaders } from './support/signed.js'
import { makeKey, signatureOf } from './support/signing.js'

t.test('RFC 9421 §3.2: whatever signs and sends, verifies; whatever is changed on the way, does not', async (t) => {
  const { outcome, send } = await signedScene(t)
  const text = fc.string({ unit: 'binary', maxLength: 20 })
  const requests = fc.record({
    method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
    url: fc.tuple(fc.webPath(), fc.webQueryParameters()).map(([path, query]) => `${origin}${path || '/'}?${query}`),
    headers: fc.record({
      'x-covered': fc.stringMatching(/^[!-~]{1,12}$/),
      'content-type': fc.constantFrom('a/b', 'c/d'),
    }),
    body: fc.option(text, { nil: undefined }),
  })
  await fc.assert(
    fc.asyncProperty(requests, async (request) => {
      const sent = await send({ ...request, cover: ['x-covered', 'content-type'] })
      const changes: RequestLike[] = [
        { ...sent, method: `${sent.method}X` },
        { ...sent, method: sent.method?.toLowerCase() },
        { ...sent, url: `${sent.url}&` },
        { ...sent, url: `${sent.url}#` },
        { ...sent, url: `/${sent.url}` },
        { ...sent, url: sent.url?.replace('?', '%3F') },
        { ...sent, rawBody: new Uint8Array([...(sent.rawBody as Uint8Array), 0]) },
        withHeaders(sent, { 'x-covered': undefined }),
        withHeaders(sent, { 'x-covered': `${sent.headers['x-covered']},` }),
        withHeaders(sent, { 'x-covered': [sent.headers['x-covered'] ?? '', sent.headers['x-covered'] ?? ''] }),
        withHeaders(sent, { 'content-type': 'e/f' }),
        withHeaders(sent, { 'content-type': undefined }),
      ]
      for (const changed of changes) if ((await outcome(changed)) === 'ok') return false
      // None of them has spent the nonce.
      return (await outcome(sent)) === 'ok' && (await outcome(sent)) === 'signature_replayed'
    }),
    { seed: 9421, numRuns: 60 },
  )
})

t.test('RFC 9421 §3.3.6: with any bit of the signature changed it is wrong', async (t) => {
  const { outcome, send } = await signedScene(t)
  const sent = await send(post)
  const bytes = Buffer.from(sent.headers['signature']!.slice('ostiary=:'.length, -1), 'base64')
  const outcomes = new Set<string>()
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    outcomes.add(await outcome(withHeaders(sent, { signature: `ostiary=:${changed.toString('base64')}:` })))
  }
  t.same([...outcomes], ['signature_wrong'])
  t.equal(await outcome(sent), 'ok')
})

t.test('RFC 9421 §3.2: with any character of Signature-Input changed, dropped or doubled it is refused', async (t) => {
  const { outcome, send } = await signedScene(t)
  const sent = await send(post)
  const input = sent.headers['signature-input']!
  const others = ['', ' ', '"', '(', ')', ';', '=', ',', '\\', 'A', '0', '-', '\t', '\r\n ', 'ü']
  for (let index = 0; index < input.length; index++) {
    const character = input[index]!
    for (const other of [...others, character + character, character.toUpperCase()]) {
      if (other === character) continue
      const changed = input.slice(0, index) + other + input.slice(index + 1)
      const found = await outcome(withHeaders(sent, { 'signature-input': changed }))
      if (found === 'ok') t.fail(`${index}: ${changed}`)
    }
  }
  t.equal(await outcome(sent), 'ok')
})

t.test('RFC 9651 §4.1: spaces, padding and order have one spelling', async (t) => {
  const { outcome, send } = await signedScene(t)
  const sent = await send(post)
  const { 'signature-input': input = '', signature: value = '' } = sent.headers
  const inputs = [
    input.replace('("@method" ', '( "@method" '),
    input.replace('("@method" ', '("@method"  '),
    input.replace(');created', ' );created'),
    input.replace(';created', '; created'),
    input.replace('created=', 'created=0'),
    input.replace('created=', 'created= '),
    input.replace('=(', '= ('),
    input.replace(';created', ';x;created'),
    input.replace(/;created=\d+/, '$&$&'),
    input.replace(/;created=\d+/, '$&.0'),
    input.replace('"@method" "@target-uri"', '"@target-uri" "@method"'),
    input.replace('"@method"', '"@method" "@method"'),
    input.replace('"@method"', '"@method";req'),
    input.replace('"content-digest"', '"content-digest";sf'),
    input.replace('"content-digest"', '"Content-Digest"'),
    input.replace(' "content-digest"', ''),
    `${input},${input}`,
    `${input},`,
    `${input}, other=("@method");tag="ostiary"`,
    `${input}, other=1`,
    `x${input}`,
  ]
  for (const changed of inputs) {
    t.not(changed, input)
    t.not(await outcome(withHeaders(sent, { 'signature-input': changed })), 'ok', changed)
  }
  const values = [
    value.replace('==:', ':'),
    value.replace('=:', '==:'),
    value.replace('=:', ':'),
    value.replace('=:', ' =:'),
    value.replaceAll(':', '"'),
    value.replace('ostiary', 'other'),
    `${value};x`,
    `${value}, ${value}`,
    '',
  ]
  for (const changed of values) {
    t.equal(await outcome(withHeaders(sent, { signature: changed })), 'signature_malformed', changed)
  }
  t.equal(await outcome(withHeaders(sent, { signature: [value, value] })), 'signature_malformed', 'twice')
  t.equal(await outcome(withHeaders(sent, { 'signature-input': [input, input] })), 'signature_malformed', 'twice')
  t.equal(await outcome(withHeaders(sent, { signature: undefined })), 'signature_malformed')
  t.equal(await outcome(sent), 'ok')
})

t.test('RFC 9421 §7.2.2: a signature of somebody else stays beside ours, and is not ours', async (t) => {
  const { outcome, send } = await signedScene(t)
  const { 'signature-input': input, signature: value } = (await send()).headers
  const proxy = 'proxy=("@method" "x";key="a");created=1;keyid="p";tag="other"'
  const both = { 'signature-input': `${proxy}, ${input}`, signature: `proxy=:AAAA:,${value}` }
  t.equal(await outcome(withHeaders(await send(), both)), 'ok')
  const other = { 'signature-input': proxy, signature: 'proxy=:AAAA:' }
  t.equal(await outcome(withHeaders(await send(), other)), 'credentials_missing')
})

interface Crafted {
  readonly components?: string
  readonly parameters?: string
  readonly base?: string
  readonly alg?: string
}

t.test('RFC 9421 §3.2.1: a signature that is right is refused where it says too little or too much', async (t) => {
  const { outcome, platform, keys } = await signedScene(t)
  const pair = makeKey('EdDSA')
  keys.set(keyId, { ...makeSigningKey().key, jwk: pair.publicKey.export({ format: 'jwk' }) as Record<string, unknown> })
  let count = 0
  /** Signed by hand: the signer of the package would not. */
  function craft({ components = '"@method" "@target-uri"', parameters, base }: Crafted, headers = {}, body = ''): Sent {
    const usual = `;created=${platform.seconds};nonce="aNonceOfItsOwn${count++}x";keyid="${keyId}";tag="ostiary"`
    const values: Readonly<Record<string, string>> = {
      '"@method"': 'POST',
      '"@target-uri"': `${origin}/a?b`,
      '"@authority"': 'orders.example',
      '"@path"': '/a',
      '"@query"': '?b',
      ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [`"${name}"`, String(value)])),
    }
    const inner = `(${components})${parameters ?? usual}`
    const lines = components === '' ? [] : components.split(' ').map((name) => `${name}: ${values[name]}\n`)
    const data = base ?? `${lines.join('')}"@signature-params": ${inner}`
    const made = signatureOf('EdDSA', pair.privateKey, data).toString('base64')
    const all = { ...headers, 'signature-input': `sig=${inner}`, signature: `sig=:${made}:` }
    return { method: 'POST', url: '/a?b', headers: all, rawBody: new TextEncoder().encode(body) }
  }
  const params = (text: string) => ({ parameters: `;created=${platform.seconds}${text}` })
  const nonce = ';nonce="0123456789abcdef"'
  const rest = `;keyid="${keyId}";tag="ostiary"`

  t.equal(await outcome(craft({})), 'ok', 'as it should be')
  t.equal(await outcome(craft({ components: '"@authority" "@path" "@method" "@query"' })), 'ok', 'in three parts')
  t.equal(await outcome(craft(params(`${nonce}${rest};alg="ed25519"`))), 'ok', 'it names its algorithm')

  const refused: readonly (readonly [string, Crafted, string])[] = [
    ['nothing', { components: '' }, 'coverage_insufficient'],
    ['no method', { components: '"@target-uri"' }, 'coverage_insufficient'],
    ['no target', { components: '"@method"' }, 'coverage_insufficient'],
    ['no query', { components: '"@method" "@authority" "@path"' }, 'coverage_insufficient'],
    ['no authority', { components: '"@method" "@path" "@query"' }, 'coverage_insufficient'],
    ['no nonce', params(rest), 'signature_malformed'],
    ['a short nonce', params(`;nonce="0123456789abcde"${rest}`), 'signature_malformed'],
    ['a long nonce', params(`;nonce="${'a'.repeat(129)}"${rest}`), 'signature_malformed'],
    ['a nonce with a space', params(`;nonce="0123456789 abcdef"${rest}`), 'signature_malformed'],
    ['a nonce that is a number', params(`;nonce=1234567890123456${rest}`), 'signature_malformed'],
    ['no keyid', params(`${nonce};tag="ostiary"`), 'signature_malformed'],
    ['a keyid of bytes', params(`${nonce};keyid=:AAAA:;tag="ostiary"`), 'signature_malformed'],
    ['a keyid with a colon', params(`${nonce};keyid="a:b";tag="ostiary"`), 'signature_malformed'],
    ['no created', { parameters: `${nonce}${rest}` }, 'signature_malformed'],
    ['created as text', { parameters: `;created="${platform.seconds}"${nonce}${rest}` }, 'signature_malformed'],
    ['created before 1970', { parameters: `;created=-1${nonce}${rest}` }, 'signature_malformed'],
    ['expires before created', params(`;expires=1${nonce}${rest}`), 'signature_malformed'],
    ['a parameter that is not known', params(`${nonce}${rest};x=1`), 'signature_malformed'],
    ['another algorithm', params(`${nonce}${rest};alg="hmac-sha256"`), 'algorithm_wrong'],
    ['an algorithm of JOSE', params(`${nonce}${rest};alg="EdDSA"`), 'algorithm_wrong'],
    ['no algorithm', params(`${nonce}${rest};alg=""`), 'algorithm_wrong'],
    ['a component of a response', { components: '"@method" "@target-uri" "@status"' }, 'component_unknown'],
    ['itself', { components: '"@method" "@target-uri" "@signature-params"' }, 'component_unknown'],
    ['a field that is not there', { components: '"@method" "@target-uri" "date"' }, 'component_absent'],
    ['a tag of other case', params(`${nonce};keyid="${keyId}";tag="Ostiary"`), 'credentials_missing'],
  ]
  for (const [title, crafted, reason] of refused) t.equal(await outcome(craft(crafted)), reason, title)

  const digest = 'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:'
  const body = '{"hello": "world"}'
  const whole = '"@method" "@target-uri" "content-digest" "content-type" "content-encoding"'
  const fields = { 'content-digest': digest, 'content-type': 'a/b', 'content-encoding': 'gzip' }
  t.equal(await outcome(craft({ components: whole }, fields, body)), 'ok')
  for (const name of Object.keys(fields)) {
    const components = whole.replace(` "${name}"`, '')
    t.equal(await outcome(craft({ components }, fields, body)), 'coverage_insufficient', `a body without ${name}`)
  }
  t.equal(await outcome(craft({}, {}, body)), 'coverage_insufficient', 'a body that nothing covers')
  t.equal(await outcome(craft({ components: whole }, fields, '')), 'digest_wrong', 'the body was taken away')
  const md5 = { ...fields, 'content-digest': 'md5=:Sd/dVLAcvNLSq16eXua5uQ==:' }
  t.equal(await outcome(craft({ components: whole }, md5, body)), 'digest_malformed', 'a digest that is worth nothing')
})
