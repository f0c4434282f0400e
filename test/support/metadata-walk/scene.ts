import {
  constants,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  sign as nodeSign,
  type SignKeyObjectInput,
} from 'node:crypto'
import type { Test } from 'tap'
import { updateUser, userClaimNames } from '../../../src/identity/index.js'
import { InvalidClientMetadataError } from '../../../src/oauth/index.js'
import { createInitialAccessToken } from '../../../src/protocol/registration/index.js'
import { authorizationQuery, redirectUri, signedIn } from '../authorization.js'
import type { TestBrowser } from '../browser.js'
import { encoded, type Json } from '../client-keys.js'
import { makeKey } from '../exchange.js'
import { verifier } from '../grants.js'
import { createTestServer, type TestClient, type TestServer } from '../server.js'
import { apiIdentifier } from '../tokens.js'

/** A server by some settings, an API, somebody who is signed in and of whom everything is known, and a way to register. */
export interface Scene {
  readonly server: TestServer
  readonly api: TestClient
  readonly user: { readonly id: string; readonly email: string; readonly password: string }
  readonly browser: TestBrowser
  /** Initial access token of `POST /register`. */
  readonly token: string
  /** An API key of theirs. */
  readonly key: string
}

const userScope = 'openid profile email address phone offline_access'
const by = { actor: 'operator' }

export async function openScene(t: Test, env: Readonly<Record<string, string>>): Promise<Scene> {
  const limits = { FAILURES_PER_NETWORK: '100000', FAILURES_PER_CLIENT: '1000' }
  const server = await createTestServer(t, { env: { ...limits, ...env } })
  const api = await server.createResource(apiIdentifier, 'read')
  const user = await server.createUser()
  const own = ['name', 'email', 'email_verified', 'updated_at']
  const values: Json = {
    ...{ profile: 'https://ada.example', picture: 'https://ada.example/i', website: 'https://ada.example' },
    ...{ birthdate: '1815-12-10', address: { country: 'GB' }, phone_number_verified: true },
  }
  const profile = userClaimNames.filter((name) => !own.includes(name)).map((name) => [name, values[name] ?? 'known'])
  await updateUser(server.ctx, user.id, { profile: Object.fromEntries(profile), emailVerified: true }, by)
  const { value: token } = await createInitialAccessToken(server.ctx, { maxUses: 100, lifetime: 86_400 }, by)
  const { text: key } = await makeKey(server, { owner: { kind: 'user', id: user.id }, scope: ['read'] })
  return { server, api, user, browser: await signedIn(server, user), token, key }
}

/** Registers an application of our own with whatever is to be tried; undefined where that is refused. */
export async function tryClient({ server }: Scene, metadata: Json = {}): Promise<TestClient | undefined> {
  try {
    const grant_types = ['authorization_code', 'refresh_token']
    return await server.createClient({ first_party: true, scope: userScope, grant_types, ...metadata })
  } catch (error) {
    if (error instanceof InvalidClientMetadataError) return undefined
    throw error
  }
}

export type Answer = Readonly<Record<string, string>>

/** What an authorization request is answered with, without any page. */
export async function answerOf(
  { browser }: Scene,
  client: Pick<TestClient, 'clientId'>,
  parameters: Readonly<Record<string, string | undefined>> = {},
  path = '/authorize',
): Promise<Answer> {
  return (await browser.open(`${path}?${authorizationQuery(client, { scope: 'openid', ...parameters })}`)).answer
}

/** The tokens of an answer with a code; an error otherwise. */
export async function redeemed(
  { server }: Scene,
  client: TestClient,
  { code }: Answer,
  path = '/token',
): Promise<Answer> {
  if (code === undefined) return { error: 'no code' }
  const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri }
  return (await server.post(path, form, { authorization: client.basic })).json()
}

/** The tokens of a login at a client with this metadata; undefined where it is not registered. */
export async function tokensAt(
  scene: Scene,
  metadata: Json,
  parameters: Readonly<Record<string, string>> = {},
): Promise<Answer | undefined> {
  const client = await tryClient(scene, metadata)
  return client && redeemed(scene, client, await answerOf(scene, client, parameters))
}

/** All algorithms of a JWS that IANA knows, but for those that nobody should have any more. */
export const jwsAlgs = [
  ...['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'ES256K', 'EdDSA', 'Ed25519', 'Ed448', 'none'],
]

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const curves: Readonly<Record<string, string>> = { ES384: 'P-384', ES512: 'P-521', ES256K: 'secp256k1' }

export interface Signer {
  /** Public; none where there is nothing public, or nothing at all. */
  readonly jwk: Json | undefined
  /** A JWS in compact form. @param secret of a client, for MACs */
  readonly sign: (claims: Json, secret?: string, header?: Json) => string
}

/** Signs by any algorithm, also by those that no library has any more. RFC 7518 §3, RFC 8037, RFC 8812, RFC 9864 */
export function signerOf(alg: string): Signer {
  const pair = pairOf(alg)
  const jwk = pair && { ...pair.publicKey.export({ format: 'jwk' }), kid: alg }
  return {
    jwk,
    sign(claims, secret = '', header = {}) {
      const input = `${encoded({ alg, ...(jwk ? { kid: alg } : {}), ...header })}.${encoded(claims)}`
      return `${input}.${signatureOf(alg, pair?.privateKey, Buffer.from(input), secret).toString('base64url')}`
    },
  }
}

function pairOf(alg: string): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } | undefined {
  if (/^[RP]S/.test(alg)) return rsa
  if (alg.startsWith('ES')) return generateKeyPairSync('ec', { namedCurve: curves[alg] ?? 'P-256' })
  if (alg === 'Ed448') return generateKeyPairSync('ed448')
  return alg.startsWith('Ed') ? generateKeyPairSync('ed25519') : undefined
}

function signatureOf(alg: string, key: KeyObject | undefined, data: Buffer, secret: string): Buffer {
  const hash = `sha${/\d+/.exec(alg)?.[0]}`
  if (alg.startsWith('HS')) return createHmac(hash, secret).update(data).digest()
  if (!key) return Buffer.alloc(0)
  if (alg.startsWith('Ed')) return nodeSign(undefined, data, key)
  const padding = alg.startsWith('PS') ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  const how: SignKeyObjectInput = alg.startsWith('ES')
    ? { key, dsaEncoding: 'ieee-p1363' }
    : { key, padding, ...(alg.startsWith('PS') ? { saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : {}) }
  return nodeSign(hash, data, how)
}
