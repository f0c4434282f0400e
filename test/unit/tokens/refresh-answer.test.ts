import t from 'tap'
import { readParameters } from '../../../src/oauth/index.js'
import { drawOpaque, hashRequest, openAnswer, sealAnswer, type TokenResponse } from '../../../src/tokens/index.js'
import { SeededRandom } from '../../support/random.js'

const ctx = { random: new SeededRandom('refresh answer') }
const hash = (form: string) => hashRequest(readParameters(form, { repeatable: ['resource'] })).toString('hex')

const answer: TokenResponse = {
  access_token: 'eyJ.e30.sig',
  token_type: 'Bearer',
  expires_in: 600,
  refresh_token: 'ort_29_successor',
  scope: 'read ünïcode',
}

t.test('a retry is the same request, in whatever order its parameters stand', async (t) => {
  const request = hash('grant_type=refresh_token&refresh_token=ort_1&scope=read')
  t.equal(hash('scope=read&refresh_token=ort_1&grant_type=refresh_token'), request)
  t.equal(hash('scope=re%61d&refresh_token=ort_1&grant_type=refresh_token'), request, 'or are encoded')
  t.equal(
    hash('scope=read&refresh_token=ort_1&grant_type=refresh_token&resource='),
    request,
    'RFC 6749 §3.2: empty is absent',
  )

  t.not(hash('grant_type=refresh_token&refresh_token=ort_1'), request, 'one less')
  t.not(hash('grant_type=refresh_token&refresh_token=ort_1&scope=read%20write'), request, 'another value')
  t.not(hash('grant_type=refresh_token&refresh_token=ort_1&scope=read&extra=1'), request, 'one more')
})

t.test('proofs of who the client is are made anew for a retry: they do not count', async (t) => {
  const request = hash('grant_type=refresh_token&refresh_token=ort_1')
  t.equal(hash('grant_type=refresh_token&refresh_token=ort_1&client_id=a&client_secret=b'), request)
  t.equal(
    hash('client_assertion_type=urn&client_assertion=eyJ&client_id=a&refresh_token=ort_1&grant_type=refresh_token'),
    request,
  )
})

t.test('of a parameter that is repeated, every value and their order count', async (t) => {
  const request = hash('resource=https://a.example&resource=https://b.example')
  t.not(hash('resource=https://b.example&resource=https://a.example'), request)
  t.not(hash('resource=https://a.example'), request)
  t.not(hash('resource=https://a.example%20https://b.example'), request)
  t.not(hash('resource=https://a.example%22,%22https://b.example'), request, 'nothing in a value can look like two')
  t.not(hash('a=1&b=2'), hash('a=1%22],[%22b%22,%222'), 'or like another parameter')
})

t.test('names that every object has are names like any other', async (t) => {
  t.not(hash('constructor=1'), hash(''))
  t.not(hash('__proto__=1'), hash(''))
  t.not(hash('__proto__=1'), hash('__proto__=2'))
})

t.test('only who presents the same refresh token again can read the answer', async (t) => {
  const token = drawOpaque(ctx, 'ort', 2931)
  const sealed = sealAnswer(ctx, token, answer)

  t.same(openAnswer(token, sealed), answer)
  t.notOk(sealed.includes('eyJ'), 'nothing of it can be read')
  t.throws(() => openAnswer(drawOpaque(ctx, 'ort', 2931), sealed), 'another token does not open it')
  t.throws(() => openAnswer({ ...token, hash: Buffer.alloc(32) }, sealed), 'it belongs to the row of its token')
  t.notSame(sealAnswer(ctx, token, answer), sealed, 'no two are alike')
  // What the row holds of the token is its hash alone: the key cannot be made of that.
  t.throws(() => openAnswer({ ...token, value: token.hash.toString('hex') }, sealed))
})
