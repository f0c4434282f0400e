import { Type } from '@sinclair/typebox'
import fc from 'fast-check'
import t from 'tap'
import { InvalidRequestError } from '../../../src/oauth/errors.js'
import { compileParameters, readParameters } from '../../../src/oauth/parameters.js'

// The same cases in every run: a failure repeats.
fc.configureGlobal({ seed: 6749 })

function reasonOf(read: () => unknown): string {
  try {
    read()
  } catch (error) {
    if (error instanceof InvalidRequestError) return error.reason
    throw error
  }
  return 'none'
}

/** URLSearchParams drops a leading `?`, which is part of the first name here: hence the empty pair in front. */
const reference = (encoded: string) => new URLSearchParams(`&${encoded}`)

const entries = (parameters: object) => Object.entries(parameters)

t.test('RFC 6749 Appendix B: names and values are form-urlencoded', async (t) => {
  t.same(entries(readParameters('')), [])
  t.same(entries(readParameters('a=1&b=2')), [
    ['a', '1'],
    ['b', '2'],
  ])
  t.same(entries(readParameters('scope=read+write&state=%C3%A9%F0%9F%91%8D%2B%26%3D')), [
    ['scope', 'read write'],
    ['state', 'é👍+&='],
  ])
  t.same(entries(readParameters('scope=read write')), [['scope', 'read write']], 'as curl -d sends it')
  t.same(entries(readParameters('%63ode=1')), [['code', '1']], 'a name may be encoded too')
  t.same(entries(readParameters('a=b=c=&&d')), [['a', 'b=c=']], 'only the first = separates')
  t.same(entries(readParameters('&a=1&')), [['a', '1']])
})

t.test('RFC 6749 §3.1: a parameter without a value is treated as omitted', async (t) => {
  const parameters = readParameters('code=&state&scope=read')
  t.same(entries(parameters), [['scope', 'read']])
  t.equal(parameters.code, undefined)
  t.notOk('code' in parameters)
})

t.test('attack 18: a parameter that occurs twice is refused', async (t) => {
  for (const text of [
    'redirect_uri=a&redirect_uri=b',
    'scope=a&scope=a',
    'scope=&scope=a',
    'scope=a&scope=',
    'scope=&scope=',
    'scope&scope',
    'scope&x=1&scope=a',
    'scope=a&%73cope=b',
    '__proto__=a&__proto__=b',
    'constructor=a&constructor=b',
    '=a&=b',
  ]) {
    t.equal(
      reasonOf(() => readParameters(text)),
      'parameter_repeated',
      text,
    )
  }
  t.throws(() => readParameters('scope=a&scope=b'), { message: 'The parameter scope is given more than once.' })
  t.throws(() => readParameters('%3Cb%3E=a&%3Cb%3E=b'), { message: 'A parameter is given more than once.' })
})

t.test('RFC 8707 §2: a repeatable parameter is always a list', async (t) => {
  const read = (text: string) => readParameters(text, { repeatable: ['resource'] })
  t.same(read('resource=a&x=1').resource, ['a'])
  t.same(read('resource=a&x=1&resource=b&resource=').resource, ['a', 'b'])
  t.equal(read('resource=&resource').resource, undefined)
  t.equal(
    reasonOf(() => read('resource=a&x=1&x=2')),
    'parameter_repeated',
  )
})

t.test('attack 120: names that mean something in JavaScript mean nothing here', async (t) => {
  const parameters = readParameters('__proto__=a&constructor=b&toString=c&hasOwnProperty=d&a[b][c]=e')
  t.same(Object.keys(parameters), ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'a[b][c]'])
  t.equal(Object.getOwnPropertyDescriptor(parameters, '__proto__')?.value, 'a')
  t.equal(Object.getOwnPropertyDescriptor(Object.prototype, 'a'), undefined)

  const empty = readParameters('x=1')
  for (const name of ['__proto__', 'constructor', 'toString', 'valueOf', 'hasOwnProperty', '__defineGetter__']) {
    t.equal(empty[name], undefined, name)
    t.notOk(name in empty, name)
  }
  const repeated = readParameters('__proto__=a&__proto__=b', { repeatable: ['__proto__'] })
  t.same(Object.entries(repeated), [['__proto__', ['a', 'b']]])
})

t.test('more than 200 parameters are refused before any is decoded', async (t) => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => `p${i}=1`).join('&')
  t.equal(Object.keys(readParameters(many(200))).length, 200)
  t.equal(
    reasonOf(() => readParameters(many(201))),
    'parameters_too_many',
  )
  t.equal(
    reasonOf(() => readParameters(`%zz&${many(20_000)}`)),
    'parameters_too_many',
  )
  t.equal(
    reasonOf(() => readParameters('&'.repeat(65_536))),
    'parameters_too_many',
  )
})

t.test('attack 17: a value of more than 8 KiB is refused, however it is written', async (t) => {
  t.equal(readParameters(`state=${'a'.repeat(8192)}`).state?.length, 8192)
  t.equal(readParameters(`state=${'%61'.repeat(8192)}`).state?.length, 8192)
  t.equal(readParameters(`state=${'%C3%A9'.repeat(4096)}`).state?.length, 4096)
  for (const text of [
    `state=${'a'.repeat(8193)}`,
    `state=${'%61'.repeat(8193)}`,
    `state=${'%C3%A9'.repeat(4097)}`,
    `state=${'%F0%9F%91%8D'.repeat(2049)}`,
    `state=${'a'.repeat(1_000_000)}`,
    `${'a'.repeat(8193)}=1`,
    `x=1&resource=${'a'.repeat(8193)}`,
  ]) {
    t.equal(
      reasonOf(() => readParameters(text, { repeatable: ['resource'] })),
      'parameter_too_long',
    )
  }
})

t.test('attack 6: malformed encodings and control characters are refused', async (t) => {
  for (const value of [
    '%',
    '%a',
    '%zz',
    '%u0041',
    '%%41', // percent-encoding
    '%ff',
    '%c3',
    '%c3%28',
    '%80',
    '%c0%80',
    '%e0%80%80',
    '%ed%a0%80',
    '%f4%90%80%80',
    '%fe', // UTF-8
    '%ef%bf%bd',
    '\ufffd',
    '\ud800',
    'é', // what a decoder made of bytes that were not UTF-8
    '%00',
    '%0a',
    '%0d',
    '%09',
    '%1b',
    '%7f',
    '%c2%85',
    '%c2%9f', // controls
    '\0',
    '\n',
    '\r',
    '\t',
    '\u007f',
    '\u0085',
  ]) {
    t.equal(
      reasonOf(() => readParameters(`state=x${value}`)),
      'parameter_malformed',
      JSON.stringify(value),
    )
    t.equal(
      reasonOf(() => readParameters(`x${value}=1`)),
      'parameter_malformed',
      `${JSON.stringify(value)} in a name`,
    )
    t.equal(
      reasonOf(() => readParameters(`a=b&x=+${value}&resource=${value}`, { repeatable: ['resource'] })),
      'parameter_malformed',
    )
  }
})

t.test('whatever is well-formed is read as URLSearchParams reads it', async (t) => {
  const character = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
    .map((text) => text.replace(/[\p{Cc}\ufffd]/gu, '_'))
  const pairs = fc.uniqueArray(fc.tuple(fc.oneof(character, fc.constantFrom('__proto__', 'constructor')), character), {
    selector: ([name]) => name,
    maxLength: 20,
  })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(pairs, (list) => {
        const encoded = new URLSearchParams(list.map(([name, value]) => [name, value])).toString()
        const expected = [...reference(encoded)]
        const read = Object.entries(readParameters(encoded))
        const byName = (a: readonly unknown[], b: readonly unknown[]) => (String(a[0]) < String(b[0]) ? -1 : 1)
        return JSON.stringify(read.sort(byName)) === JSON.stringify(expected.sort(byName))
      }),
    ),
  )
})

t.test('whatever arrives is read as URLSearchParams reads it, or refused with InvalidRequestError', async (t) => {
  const piece = fc.constantFrom('a', 'b', '=', '&', '+', '%', '%41', '%2', '%c3%a9', '%00', ' ', 'é', '__proto__', '&&')
  const text = fc.oneof(
    fc.array(piece, { maxLength: 24 }).map((pieces) => pieces.join('')),
    fc.string({ maxLength: 64 }),
  )
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(text, fc.boolean(), (encoded, isRepeatable) => {
        const repeatable = isRepeatable ? ['a', '__proto__'] : []
        let parameters: ReturnType<typeof readParameters>
        try {
          parameters = readParameters(encoded, { repeatable })
        } catch (error) {
          return error instanceof InvalidRequestError
        }
        const pairs = reference(encoded)
        const names = new Set(pairs.keys())
        return [...names].every((name) => {
          const values = pairs.getAll(name).filter((value) => value !== '')
          const read = Object.hasOwn(parameters, name) ? parameters[name] : undefined
          if (values.length === 0) return read === undefined
          return JSON.stringify(read) === JSON.stringify(repeatable.includes(name) ? values : values[0])
        })
      }),
      { numRuns: 1000 },
    ),
  )
})

t.test('attack 132: the time to read a text grows with its length alone', async (t) => {
  const worst = ['=', '%', '+', 'a&', 'a', '%41', '%25', ' ', '%c3'].map((piece) => piece.repeat(1_000_000))
  const start = process.cpuUsage()
  for (const text of worst) reasonOf(() => readParameters(text))
  const { user } = process.cpuUsage(start)
  t.ok(user < 2_000_000, `${user} µs`)
})

t.test('compileParameters', async (t) => {
  const parse = compileParameters(
    Type.Object({
      code: Type.String(),
      code_verifier: Type.Optional(Type.String({ minLength: 43, maxLength: 128 })),
      resource: Type.Optional(Type.Array(Type.String())),
    }),
  )

  t.test('RFC 6749 §3.2: unknown parameters are ignored', async (t) => {
    const parsed = parse(readParameters('code=x&foo=bar&__proto__=y&resource=a', { repeatable: ['resource'] }))
    t.same(parsed, { code: 'x', resource: ['a'] })
    t.same(Object.keys(parsed), ['code', 'resource'])
  })

  t.test('a missing parameter is named', async (t) => {
    t.throws(() => parse(readParameters('code=')), {
      code: 'invalid_request',
      message: 'The parameter code is missing.',
      reason: 'parameter_missing',
    })
  })

  t.test('an invalid parameter is named, and its value is not', async (t) => {
    t.throws(() => parse(readParameters('code=x&code_verifier=short')), {
      message: 'The parameter code_verifier is invalid.',
      reason: 'parameter_invalid',
    })
    t.throws(
      () => parse(readParameters('code=x&resource=a')),
      { code: 'invalid_request', reason: 'parameter_invalid' },
      'not declared repeatable',
    )
  })

  t.test('what stands in the prototype is not a parameter', async (t) => {
    const parseOdd = compileParameters(Type.Object({ constructor: Type.String() }))
    t.throws(() => parseOdd(readParameters('x=1')), { message: 'The parameter constructor is missing.' })
  })
})
