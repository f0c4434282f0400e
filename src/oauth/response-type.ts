/** The grant type of the flow without a code, which IMPLICIT switches on. RFC 7591 §2.1. */
export const implicitGrantType = 'implicit'

/**
 * What may be asked for at /authorize, and the grant type that a client needs for it. RFC 7591 §2.1, OIDC Registration §2.
 *
 * `token` alone is none: without an ID token there is neither `nonce` nor `at_hash`, by which a client sees that an access token
 * is for it and for this request (RFC 9700 §2.1.2, §4.6). What mixes a code with tokens is none: a code leads to all of them.
 */
const grantTypeOf = {
  code: 'authorization_code',
  id_token: implicitGrantType,
  'id_token token': implicitGrantType,
} as const

export type ResponseType = keyof typeof grantTypeOf

export type ImplicitResponseType = Exclude<ResponseType, 'code'>

/** The response types that clients with these grant types may use. */
export function responseTypesOf(grantTypes: readonly string[]): readonly ResponseType[] {
  const all = Object.keys(grantTypeOf) as ResponseType[]
  return all.filter((responseType) => grantTypes.includes(grantTypeOf[responseType]))
}

/** In the one order that we write; that of the words says nothing. RFC 6749 §3.1.1. */
export function parseResponseType(text: string): ResponseType | undefined {
  const name = text.split(' ').sort().join(' ')
  return Object.hasOwn(grantTypeOf, name) ? (name as ResponseType) : undefined
}

export function isImplicit(responseType: string | undefined): responseType is ImplicitResponseType {
  return responseType !== undefined && responseTypesOf([implicitGrantType]).some((each) => each === responseType)
}

/** Whether each grant type that has response types has one of them at least, and no other is there. RFC 7591 §2.1. */
export function responseTypesAgree(responseTypes: readonly string[], grantTypes: readonly string[]): boolean {
  const has = (grantType: string): boolean =>
    responseTypesOf([grantType]).some((responseType) => responseTypes.includes(responseType))
  return [...new Set(Object.values(grantTypeOf))].every(
    (grantType) => has(grantType) === grantTypes.includes(grantType),
  )
}
