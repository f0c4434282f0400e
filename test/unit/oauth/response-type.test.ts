import t from 'tap'
import { isImplicit, parseResponseType, responseTypesAgree, responseTypesOf } from '../../../src/oauth/index.js'

t.test('RFC 6749 §3.1.1: the order of the words says nothing, and each stands once', async (t) => {
  t.equal(parseResponseType('code'), 'code')
  t.equal(parseResponseType('token id_token'), 'id_token token')
  t.equal(parseResponseType('id_token token'), 'id_token token')
  for (const text of [
    ...['', ' ', 'token', 'none', 'code token', 'code id_token', 'code id_token token', 'code code', 'CODE'],
    ...['id_token  token', ' id_token', 'id_token ', 'id_token token token', 'constructor', '__proto__'],
  ]) {
    t.equal(parseResponseType(text), undefined, text)
  }
})

t.test('RFC 7591 §2.1: response types by grant types', async (t) => {
  t.same(responseTypesOf(['authorization_code', 'refresh_token']), ['code'])
  t.same(responseTypesOf(['implicit']), ['id_token', 'id_token token'])
  t.same(responseTypesOf(['client_credentials']), [])
  t.ok(responseTypesAgree([], ['client_credentials']))
  t.ok(responseTypesAgree(['code', 'id_token'], ['authorization_code', 'implicit']))
  t.notOk(responseTypesAgree(['code'], ['authorization_code', 'implicit']))
  t.notOk(responseTypesAgree(['code', 'id_token'], ['authorization_code']))
  t.notOk(responseTypesAgree([], ['authorization_code']))
  t.same(['code', 'id_token', 'id_token token', 'token', undefined].filter(isImplicit), ['id_token', 'id_token token'])
})
