import { constants, createHmac, createPublicKey, type JsonWebKey, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { contentDigest, problemOfDigest } from '../../packages/resource-server/src/signature/content-digest.js'
import {
  componentValue,
  isComponent,
  type SignedMessage,
  signatureBase,
} from '../../packages/resource-server/src/signature/signature-base.js'
import { parseByteSequences, parseInnerLists } from '../../packages/resource-server/src/signature/structured-fields.js'
import { importVerificationKey, verifyBytes } from '../../packages/resource-server/src/verification-key.js'

type Headers = readonly (readonly [string, string])[]

interface SignatureVector {
  readonly section: string
  readonly alg: string
  readonly origin: string
  readonly request: { readonly method: string; readonly url: string; readonly headers: Headers; readonly body?: string }
  readonly signatureInput: string
  readonly signature: string
  /** None where the section says that the signature is not valid for the request. */
  readonly base?: string
}

const vectors: {
  readonly keys: Readonly<Record<string, JsonWebKey>>
  readonly signatures: readonly SignatureVector[]
  readonly components: readonly { section: string; component: string; headers?: Headers; url?: string; value: string }[]
  readonly digests: readonly { section: string; body: string; contentDigest: string; problem?: string }[]
} = JSON.parse(readFileSync(new URL('../vectors/rfc/http-signatures.json', import.meta.url), 'utf8'))

const fieldOf =
  (headers: Headers): SignedMessage['field'] =>
  (name) =>
    headers.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value)

/** By Node's own cryptography: what a base is worth says a signature that somebody else made. */
function verifies(alg: string, jwk: JsonWebKey, base: string, signature: Uint8Array): boolean {
  const data = Buffer.from(base)
  if (alg === 'hmac-sha256') {
    return createHmac('sha256', Buffer.from(jwk['k'] as string, 'base64url'))
      .update(data)
      .digest()
      .equals(signature)
  }
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  switch (alg) {
    case 'rsa-pss-sha512':
      return verify('sha512', data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 }, signature)
    case 'ecdsa-p256-sha256':
      return verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature)
    default:
      return verify(null, data, key, signature)
  }
}

for (const { section, alg, origin, request, signatureInput, signature, base } of vectors.signatures) {
  t.test(`${section}: the signature base, and the signature that is printed`, async (t) => {
    const { method, url, headers } = request
    const [[label, input] = []] = parseInnerLists(signatureInput) ?? []
    t.ok(label !== undefined && input, 'Signature-Input is read')
    if (label === undefined || !input) return
    t.equal(`${label}=${input.text}`, signatureInput)
    const bytes = parseByteSequences(signature)?.get(label)
    t.ok(bytes, 'Signature is read')
    const names = input.items.map(({ value }) => value)
    const made = signatureBase(names, { method, url, origin, field: fieldOf(headers) }, input.text)
    if (input.items.some(({ value, parameters }) => parameters.size > 0 || !isComponent(value))) {
      t.equal(made, undefined, 'a component that is not understood: no base')
      return
    }
    const keyid = input.parameters.get('keyid') as string
    t.equal(verifies(alg, vectors.keys[keyid]!, made ?? '', bytes!), base !== undefined)
    if (base !== undefined) t.equal(made, base)
    if (alg !== 'ed25519') return

    const key = await importVerificationKey({ ...vectors.keys[keyid], d: undefined, alg: 'EdDSA' })
    t.equal(key, 'it is secret, and was given away', 'the member counts, whatever is in it')
    const { d: _, ...publicJwk } = vectors.keys[keyid]!
    const publicKey = await importVerificationKey(publicJwk)
    if (typeof publicKey === 'string') return t.fail(publicKey)
    const data = new TextEncoder().encode(made)
    t.equal(await verifyBytes(publicKey, data, bytes!), base !== undefined)
    t.equal(await verifyBytes({ ...publicKey, native: undefined }, data, bytes!), base !== undefined, 'by WebCrypto')
    for (let bit = 0; base !== undefined && bit < bytes!.length * 8; bit++) {
      const changed = new Uint8Array(bytes!)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      if (await verifyBytes(publicKey, data, changed)) t.fail(`with bit ${bit} changed`)
    }
  })
}

t.test('RFC 9421 B.2.6: Ed25519 is deterministic: the same signature is made', async (t) => {
  const { base, signature } = vectors.signatures.find(({ section }) => section === 'RFC 9421 B.2.6')!
  const key = { key: vectors.keys['test-key-ed25519']!, format: 'jwk' as const }
  t.equal(`sig-b26=:${sign(null, Buffer.from(base!), key).toString('base64')}:`, signature)
})

for (const { section, component, headers = [], url = '/', value } of vectors.components) {
  t.test(`${section}: the value of ${component}`, async (t) => {
    const message = { method: 'POST', origin: 'https://www.example.com', url, field: fieldOf(headers) }
    t.equal(componentValue(component, message), value)
    t.ok(isComponent(component))
  })
}

t.test('RFC 9421 §2.1: a folded line has no one value', async (t) => {
  const field = fieldOf([['X-Obs-Fold-Header', 'Obsolete\r\n    line folding.']])
  const message = { method: 'GET', origin: 'https://www.example.com', url: '/', field }
  t.equal(componentValue('x-obs-fold-header', message), undefined)
  t.equal(signatureBase(['x-obs-fold-header'], message, '()'), undefined)
})

t.test('RFC 9421 §2.2: a component of a response, of a parameter or of none is not understood', async (t) => {
  for (const name of [
    '@status',
    '@query-param',
    '@scheme',
    '@request-target',
    '@signature-params',
    '@',
    '',
    'Date',
    'a b',
  ]) {
    t.notOk(isComponent(name), name)
  }
})

for (const { section, body, contentDigest: field, problem } of vectors.digests) {
  t.test(`${section}: ${field.slice(0, field.indexOf('='))} of ${JSON.stringify(body)}`, async (t) => {
    const bytes = new TextEncoder().encode(body)
    t.equal(await problemOfDigest(field, bytes), problem)
    if (problem !== undefined) return
    if (field.startsWith('sha-256')) t.equal(await contentDigest(bytes), field)
    t.equal(await problemOfDigest(field, new TextEncoder().encode(`${body} `)), 'digest_wrong')
    t.equal(
      await problemOfDigest(`md5=:Sd/dVLAcvNLSq16eXua5uQ==:, ${field}`, bytes),
      undefined,
      'beside one that is weak',
    )
  })
}

t.test('RFC 9530 §2: of several digests that count all must agree', async (t) => {
  const bytes = new TextEncoder().encode('{"hello": "world"}')
  const [good, other] = [await contentDigest(bytes), await contentDigest(new Uint8Array(0))]
  const sha512 = vectors.digests.find(({ contentDigest: field }) => field.startsWith('sha-512'))!.contentDigest
  t.equal(await problemOfDigest(`${good}, ${sha512}`, bytes), undefined)
  t.equal(await problemOfDigest(`${other}, ${sha512}`, bytes), 'digest_wrong')
  const malformed = [
    `${good},${good}`,
    `${good}, ${other}`,
    '',
    'sha-256',
    'sha-256=::',
    'sha-256=:AAAA:',
    `${good};x=1`,
    `${good},`,
    good.toUpperCase(),
    good.replaceAll(':', '"'),
    good.replace('=:', ':'),
  ]
  for (const field of malformed) t.equal(await problemOfDigest(field, bytes), 'digest_malformed', field)
})
