import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { CompactEncrypt, decodeProtectedHeader } from 'jose'
import { authorizationUrl, redirectUri } from '../authorization.js'
import { TestBrowser } from '../browser.js'
import { assertionClaims, assertionType, type Json, makeKey, signed } from '../client-keys.js'
import { challenge, verifier } from '../grants.js'
import { idTokensFor, logoutUrl, waitingLogouts } from '../logout.js'
import { testIssuer } from '../server.js'
import { claimsOf, postAs } from '../tokens.js'
import { grants, unknownGrant } from './endpoints.js'
import { type Answer, answerOf, jwsAlgs, type Scene, signerOf, tokensAt, tryClient } from './scene.js'

/** A member of the metadata: what it could say besides what it says, and whether a value works. */
export interface Member {
  /** What specifications know. */
  readonly known: readonly (string | boolean)[]
  readonly works: (scene: Scene, value: string) => Promise<boolean>
}

const all = ['openid', 'profile', 'email', 'address', 'phone'].join(' ')

/** All claims that somebody is told who asks for everything, and for these by name. */
export async function claimsTold(scene: Scene, names: readonly string[]): Promise<ReadonlySet<string>> {
  const asked = Object.fromEntries(names.map((name) => [name, null]))
  const claims = JSON.stringify({ id_token: asked, userinfo: asked })
  const tokens = await tokensAt(scene, {}, { scope: all, claims, nonce: 'n' })
  const userInfo = await scene.server.get('/userinfo', { authorization: `Bearer ${tokens?.['access_token']}` })
  return new Set([...Object.keys(claimsOf(tokens?.['id_token'] ?? '')), ...Object.keys(userInfo.json())])
}

/** What is asked for by metadata alone: whoever may not register it never has it. */
const byRegistration = (name: string, known: Member['known']): Member => ({
  known,
  async works(scene, value) {
    return (await tryClient(scene, { [name]: value === 'true' ? true : value })) !== undefined
  },
})

const isSaid = (known: Member['known'], works: (scene: Scene) => Promise<boolean>): Member => ({ known, works })

/** A client that proves itself by each method, at an endpoint. */
const methodAt = (path: string): Member => ({
  known: [
    ...['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none'],
    ...['tls_client_auth', 'self_signed_tls_client_auth', 'attest_jwt_client_auth'],
  ],
  async works(scene, method) {
    const isMac = method === 'client_secret_jwt'
    const key = signerOf(isMac ? 'HS256' : 'ES256')
    const jwks = method === 'private_key_jwt' ? { jwks: { keys: [key.jwk] } } : {}
    const client = await tryClient(scene, { token_endpoint_auth_method: method, ...jwks })
    // What cannot be registered is tried with the secret of another client.
    const by = client ?? (isMac ? await tryClient(scene) : undefined)
    if (!by) return false
    const { clientId: client_id, clientSecret: client_secret } = by
    const proof: Readonly<Record<string, Record<string, string>>> = {
      client_secret_post: { client_id, client_secret },
      none: { client_id },
    }
    const client_assertion = key.sign(assertionClaims(scene.server, client_id), client_secret)
    const form = /basic/.test(method)
      ? {}
      : (proof[method] ?? { client_assertion_type: assertionType, client_assertion })
    return passes(scene, path, form, method === 'client_secret_basic' ? { authorization: by.basic } : {})
  },
})

/** @returns whether the endpoint takes the client for itself */
async function passes(
  { server }: Scene,
  path: string,
  form: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<boolean> {
  // What an authenticated client is answered for a code and a token that there are not.
  const asked: Answer = path === '/token' ? { grant_type: 'refresh_token', refresh_token: 'x' } : { token: 'x' }
  const { statusCode, body } = await server.post(path, { ...asked, ...form }, headers)
  return path === '/token' ? body.includes('"invalid_grant"') : statusCode === 200
}

const assertionAlgAt = (path: string): Member => ({
  known: jwsAlgs,
  async works(scene, alg) {
    const key = signerOf(alg)
    const others = { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [signerOf('ES256').jwk, key.jwk] } }
    const client = await tryClient(scene, key.jwk ? others : {})
    if (!client) return false
    const client_assertion = key.sign(assertionClaims(scene.server, client.clientId), client.clientSecret)
    return passes(scene, path, { client_assertion_type: assertionType, client_assertion })
  },
})

/** Algorithms by which this server signs. */
const signsBy = (make: (scene: Scene, alg: string) => Promise<string | undefined>): Member => ({
  known: jwsAlgs,
  async works(scene, alg) {
    const jws = await make(scene, alg)
    const kid = jws && decodeProtectedHeader(jws).kid
    const { keys } = (await scene.server.get('/jwks')).json<{ keys: Json[] }>()
    return jws !== undefined && decodeProtectedHeader(jws).alg === alg && keys.some((key) => key['kid'] === kid)
  },
})

async function requestObject(scene: Scene, alg: string): Promise<boolean> {
  const key = signerOf(alg)
  const keys = { jwks: { keys: [signerOf('ES256').jwk, key.jwk].filter(Boolean) } }
  const client = await tryClient(scene, { ...keys, request_object_signing_alg: alg })
  // Also where it could not be registered.
  const by = client ?? (await tryClient(scene, keys))!
  const request = key.sign({ client_id: by.clientId, response_type: 'code', scope: 'openid' }, by.clientSecret)
  return 'code' in (await answerOf(scene, by, { request }))
}

const encryptions = ['RSA-OAEP', 'RSA-OAEP-256', 'ECDH-ES', 'ECDH-ES+A256KW', 'A256KW', 'dir']
const contents = ['A128CBC-HS256', 'A256GCM']

const encryption = (name: string): Readonly<Record<string, Member>> => ({
  [`${name.replace('_response', '')}_alg_values_supported`]: byRegistration(`${name}_alg`, encryptions),
  [`${name.replace('_response', '')}_enc_values_supported`]: byRegistration(`${name}_enc`, contents),
})

/** Asks by a fresh browser, and gives the page. */
async function loginPage(scene: Scene, parameters: Readonly<Record<string, string>>) {
  const client = (await tryClient(scene))!
  return new TestBrowser(scene.server).open(authorizationUrl(client, { scope: 'openid', ...parameters }))
}

async function logoutTold(scene: Scene): Promise<Json | undefined> {
  const metadata = { backchannel_logout_uri: 'https://rp.example/logout', backchannel_logout_session_required: true }
  const client = (await tryClient(scene, metadata))!
  const browser = new TestBrowser(scene.server)
  const { id_token } = await idTokensFor(scene.server, client, scene.user, browser)
  // A client of our own is not asked.
  await browser.open(logoutUrl({ id_token_hint: id_token }))
  return (await waitingLogouts(scene.server)).find(({ destination }) => destination === client.clientId)?.payload
}

export const members: Readonly<Record<string, Member>> = {
  response_types_supported: {
    known: [
      'code',
      'token',
      'id_token',
      'id_token token',
      'code token',
      'code id_token',
      'code id_token token',
      'none',
    ],
    async works(scene, response_type) {
      const { browser } = scene
      const words = response_type.split(' ')
      const grant_types = [
        ...(words.includes('code') ? ['authorization_code'] : []),
        ...(words.some((word) => word.endsWith('token')) ? ['implicit'] : []),
      ]
      // What cannot be registered is asked for by another client.
      const client =
        (await tryClient(scene, { grant_types, response_types: [response_type] })) ?? (await tryClient(scene))!
      const page = await browser.open(authorizationUrl(client, { response_type, nonce: 'n', scope: 'openid' }))
      const told = response_type === 'code' ? page.answer : page.fragment
      const names = words.map((word) => (word === 'token' ? 'access_token' : word))
      // Each by its own way, and nothing by the other.
      const other = response_type === 'code' ? page.fragment : page.answer
      const all = ['code', 'access_token', 'id_token']
      const isWhole = all.every((name) => names.includes(name) === name in told && !(name in other))
      return isWhole && !('error' in { ...told, ...other })
    },
  },
  response_modes_supported: {
    known: ['query', 'fragment', 'form_post', 'jwt', 'query.jwt', 'fragment.jwt', 'form_post.jwt', 'web_message'],
    async works(scene, response_mode) {
      const client = (await tryClient(scene))!
      const reply = await scene.browser.request('GET', authorizationUrl(client, { response_mode }))
      const location = new URL(String(reply.headers.location ?? redirectUri))
      const ways: Readonly<Record<string, boolean>> = {
        query: location.searchParams.has('code'),
        fragment: new URLSearchParams(location.hash.slice(1)).has('code'),
        form_post: reply.body.includes('name="code"'),
      }
      return ways[response_mode] ?? Object.values(ways).includes(true)
    },
  },
  grant_types_supported: {
    known: [
      ...['implicit', 'password', 'urn:ietf:params:oauth:grant-type:device_code', 'urn:openid:params:grant-type:ciba'],
      ...['urn:ietf:params:oauth:grant-type:jwt-bearer', 'urn:ietf:params:oauth:grant-type:saml2-bearer'],
      ...['urn:ietf:params:oauth:grant-type:pre-authorized_code', 'constructor'],
    ],
    works: (scene, type) => (Object.hasOwn(grants, type) ? grants[type]! : unknownGrant)(scene, type),
  },
  token_endpoint_auth_methods_supported: methodAt('/token'),
  revocation_endpoint_auth_methods_supported: methodAt('/revoke'),
  introspection_endpoint_auth_methods_supported: methodAt('/introspect'),
  token_endpoint_auth_signing_alg_values_supported: assertionAlgAt('/token'),
  revocation_endpoint_auth_signing_alg_values_supported: assertionAlgAt('/revoke'),
  introspection_endpoint_auth_signing_alg_values_supported: assertionAlgAt('/introspect'),
  id_token_signing_alg_values_supported: signsBy(async (scene, id_token_signed_response_alg) => {
    return (await tokensAt(scene, { id_token_signed_response_alg }))?.['id_token']
  }),
  userinfo_signing_alg_values_supported: signsBy(async (scene, userinfo_signed_response_alg) => {
    const tokens = await tokensAt(scene, { userinfo_signed_response_alg })
    const authorization = `Bearer ${tokens?.['access_token']}`
    return tokens && (await scene.server.get('/userinfo', { authorization })).body
  }),
  request_object_signing_alg_values_supported: { known: jwsAlgs, works: requestObject },
  code_challenge_methods_supported: {
    known: ['plain', 'S256', 'S512'],
    async works(scene, code_challenge_method) {
      const code_challenge = code_challenge_method === 'plain' ? verifier : challenge
      const tokens = await tokensAt(scene, {}, { code_challenge, code_challenge_method })
      return 'access_token' in (tokens ?? {})
    },
  },
  subject_types_supported: {
    known: ['public', 'pairwise', 'ephemeral'],
    async works(scene, subject_type) {
      const tokens = await tokensAt(scene, { subject_type })
      return (
        tokens !== undefined &&
        (claimsOf(tokens['id_token'] ?? '')['sub'] === scene.user.id) === (subject_type === 'public')
      )
    },
  },
  acr_values_supported: {
    known: ['0', '2', 'phr', 'phrh', 'urn:mace:incommon:iap:silver'],
    async works(scene, acr) {
      const claims = JSON.stringify({ id_token: { acr: { essential: true, values: [acr] } } })
      const tokens = await tokensAt(scene, {}, { claims })
      return claimsOf(tokens?.['id_token'] ?? 'x.e30')['acr'] === acr
    },
  },
  scopes_supported: {
    // The last is for the clients of APIs, which `resource create` makes: nobody can register for it.
    known: ['groups', 'roles', 'write', 'admin', 'revocations'],
    async works(scene, scope) {
      const tokens = (await tokensAt(scene, { scope }, { scope })) ?? {}
      if (tokens['scope'] === scope) return true
      // Some are for clients that act for themselves.
      const service = await tryClient(scene, {
        ...{ scope, redirect_uris: undefined, first_party: undefined, grant_types: ['client_credentials'] },
      })
      const form = { grant_type: 'client_credentials', scope }
      return service !== undefined && (await postAs(scene.server, service, '/token', form)).json().scope === scope
    },
  },
  claims_supported: {
    known: ['azp', 'c_hash', 's_hash', 'nbf', 'jti', 'cnf', 'groups', 'roles', 'entitlements', 'client_id', 'scope'],
    works: async (scene, name) => (await claimsTold(scene, [name])).has(name),
  },
  claim_types_supported: {
    known: ['normal', 'aggregated', 'distributed'],
    works: async (scene, type) => (await claimsTold(scene, [])).has(type === 'normal' ? 'name' : '_claim_sources'),
  },
  claims_parameter_supported: isSaid([true], async (scene) => {
    const tokens = await tokensAt(scene, {}, { claims: '{"id_token":{"email":null}}' })
    return 'email' in claimsOf(tokens?.['id_token'] ?? '')
  }),
  prompt_values_supported: {
    known: ['none', 'login', 'consent', 'select_account', 'create'],
    async works(scene, prompt) {
      const { browser } = scene
      const client = (await tryClient(scene, { first_party: false }))!
      const first = await browser.open(authorizationUrl(client, { scope: 'openid' }))
      await browser.submit(first, {}, { button: 'consent-allow' })
      const page = await browser.open(authorizationUrl(client, { scope: 'openid', prompt }))
      if (prompt === 'none') return 'code' in page.answer
      return page.step === (prompt === 'consent' ? 'consent' : 'login')
    },
  },
  display_values_supported: {
    known: ['page', 'popup', 'touch', 'wap'],
    async works(scene, display) {
      const [page, plain] = [await loginPage(scene, { display }), await loginPage(scene, {})]
      // The others may be asked for, and get the same page. OIDC Core §3.1.2.1
      return display === 'page' ? page.step === 'login' : page.text !== plain.text
    },
  },
  ui_locales_supported: {
    known: ['en', 'de', 'fr', 'ar'],
    works: async (scene, ui_locales) => (await loginPage(scene, { ui_locales })).html.includes(`lang="${ui_locales}"`),
  },
  request_parameter_supported: isSaid([true], (scene) => requestObject(scene, 'ES256')),
  request_uri_parameter_supported: isSaid([true], async (scene) => {
    const { error } = await answerOf(scene, (await tryClient(scene))!, { request_uri: 'https://app.example/r' })
    return error !== 'request_uri_not_supported'
  }),
  // This one is looked for, and not asked: its address is not public.
  client_id_metadata_document_supported: isSaid([true], async ({ server }) => {
    const { body } = await server.get('/authorize?client_id=https%3A%2F%2F10.0.0.1%2Fclient.json', {
      accept: 'text/html',
    })
    return body.includes('client_document_unavailable')
  }),
  // One that is not registered is not asked.
  require_request_uri_registration: isSaid([true], async (scene) => {
    const { error } = await answerOf(scene, (await tryClient(scene))!, { request_uri: 'https://app.example/r' })
    return error === 'invalid_request_uri'
  }),
  authorization_response_iss_parameter_supported: isSaid([true], async (scene) => {
    return (await answerOf(scene, (await tryClient(scene))!))['iss'] === testIssuer
  }),
  backchannel_logout_supported: isSaid([true], async (scene) => (await logoutTold(scene)) !== undefined),
  backchannel_logout_session_supported: isSaid([true], async (scene) => {
    return typeof (await logoutTold(scene))?.['sid'] === 'string'
  }),

  // What other servers have.
  frontchannel_logout_supported: byRegistration('frontchannel_logout_uri', ['https://app.example/logout']),
  tls_client_certificate_bound_access_tokens: byRegistration('tls_client_certificate_bound_access_tokens', [true]),
  require_pushed_authorization_requests: byRegistration('require_pushed_authorization_requests', [true]),
  require_signed_request_object: byRegistration('require_signed_request_object', [true]),
  authorization_signing_alg_values_supported: byRegistration('authorization_signed_response_alg', jwsAlgs),
  introspection_signing_alg_values_supported: byRegistration('introspection_signed_response_alg', jwsAlgs),
  backchannel_token_delivery_modes_supported: byRegistration('backchannel_token_delivery_mode', [
    'poll',
    'ping',
    'push',
  ]),
  authorization_details_types_supported: byRegistration('authorization_details_types', ['payment_initiation']),
  dpop_signing_alg_values_supported: {
    known: ['ES256'],
    async works({ server }) {
      const key = makeKey()
      const iat = Math.floor(server.clock.now().getTime() / 1000)
      const proof = { jti: 'x', htm: 'POST', htu: `${testIssuer}/token`, iat }
      const dpop = await signed(key, proof, { typ: 'dpop+jwt', jwk: key.jwk })
      const service = await server.createService('read')
      const reply = await postAs(server, service, '/token', { grant_type: 'client_credentials' }, { dpop })
      return reply.json().token_type !== 'Bearer'
    },
  },
  ...encryption('id_token_encrypted_response'),
  ...encryption('userinfo_encrypted_response'),
  ...encryption('authorization_encrypted_response'),
  request_object_encryption_alg_values_supported: {
    known: ['RSA-OAEP', 'RSA-OAEP-256'],
    async works(scene, alg) {
      const { keys } = (await scene.server.get('/jwks')).json<{ keys: (JsonWebKey & { alg: string })[] }>()
      const key = createPublicKey({ key: keys.find((each) => each.alg === 'RS256')!, format: 'jwk' })
      const client = (await tryClient(scene))!
      const inside = Buffer.from(JSON.stringify({ client_id: client.clientId, response_type: 'code' }))
      const request = await new CompactEncrypt(inside).setProtectedHeader({ alg, enc: 'A256GCM' }).encrypt(key)
      return (await answerOf(scene, client, { request }))['error'] !== 'invalid_request_object'
    },
  },
}
