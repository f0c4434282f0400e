import { openIdSigningAlgs } from '../clients/index.js'
import type { OptionSpecs } from './command.js'

const algs = openIdSigningAlgs.join(', ')

/** What is registered of OpenID Connect and RFC 7523, as a person writes it. */
export const openIdOptions = {
  'subject-type': { type: 'string', value: 'TYPE', description: 'public (default) or pairwise.' },
  'sector-identifier-uri': {
    type: 'string',
    value: 'URL',
    description: 'Of pairwise subjects: what lists the redirect URIs of one party, and is read now.',
  },
  'id-token-signed-response-alg': { type: 'string', value: 'ALG', description: `${algs}. Default: RS256.` },
  'userinfo-signed-response-alg': { type: 'string', value: 'ALG', description: 'Default: UserInfo is not signed.' },
  'request-object-signing-alg': {
    type: 'string',
    value: 'ALG',
    description: 'The only one of its request objects, or none for unsigned ones. Default: any but none.',
  },
  'request-uri': {
    type: 'string',
    value: 'URL',
    multiple: true,
    description: 'Where its request objects are fetched.',
  },
  'token-endpoint-auth-signing-alg': {
    type: 'string',
    value: 'ALG',
    description: 'The only one of its assertions. Default: any.',
  },
  'client-assertion-audience': {
    type: 'string',
    value: 'issuer|endpoint',
    description: 'What its assertions may name: the issuer alone, or the token endpoint too.',
  },
  'default-max-age': { type: 'string', value: 'SECONDS', description: 'Of a login, where a request names none.' },
  'require-auth-time': { type: 'boolean', description: 'The ID token says when its user signed in.' },
  'default-acr-value': { type: 'string', value: 'ACR', multiple: true, description: 'Where a request names none.' },
  'initiate-login-uri': { type: 'string', value: 'URL', description: 'Where a login may be begun from outside.' },
  'post-logout-redirect-uri': {
    type: 'string',
    value: 'URI',
    multiple: true,
    description: 'Where a browser goes after signing out; compared exactly.',
  },
  'backchannel-logout-uri': { type: 'string', value: 'URL', description: 'Told when a session ends.' },
  'backchannel-logout-session-required': { type: 'boolean', description: 'It needs the sid of what ended.' },
} as const satisfies OptionSpecs
