import { type Static, Type } from '@sinclair/typebox'
import type { Source } from './variables.js'

export const clientsVariables = Type.Object({
  assertionAudience: Type.Union([Type.Literal('issuer'), Type.Literal('endpoint')], {
    variable: 'CLIENT_ASSERTION_AUDIENCE',
    default: 'issuer',
    description:
      'Whom assertions of clients (private_key_jwt) name as aud, where the client says nothing else: issuer alone, as a text; or endpoint, the address of /token too, for older libraries.',
  }),
  implicit: Type.Union([Type.Literal('off'), Type.Literal('on')], {
    variable: 'IMPLICIT',
    default: 'off',
    description:
      'Whether clients that are registered for it (grant type implicit) get tokens in the answer of /authorize itself, by the response types id_token and id_token token. For certification as a Dynamic OP, which demands them (OIDC Core §15.2), and for nothing else: tokens in addresses leak (RFC 9700 §2.1.2).',
  }),
})

export interface ClientsConfig {
  readonly assertionAudience: 'issuer' | 'endpoint'
  /** Whether there is the implicit flow. */
  readonly implicit: boolean
}

export function resolveClients(values: Static<typeof clientsVariables>, source: Source): ClientsConfig {
  const implicit = values.implicit === 'on'
  if (implicit) {
    source.warn(
      'IMPLICIT is on: clients that are registered for it get tokens in the address of the browser (RFC 9700 §2.1.2). It is for certification as a Dynamic OP alone.',
    )
  }
  return { ...values, implicit }
}
