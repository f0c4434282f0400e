import { authorizationUrl } from '../authorization.js'
import { exchange } from '../exchange.js'
import { ask, metadata } from '../registration.js'
import type { TestClient } from '../server.js'
import { claimsOf, postAs } from '../tokens.js'
import { type Answer, answerOf, redeemed, type Scene, tryClient } from './scene.js'

/** The path of each endpoint that a server may publish, and whether it does there what it is for. */
export interface Endpoint {
  readonly path: string
  readonly works: (scene: Scene, path: string) => Promise<boolean>
}

interface StatusList {
  readonly uri: string
}

const serviceToken = async ({ server, api }: Scene): Promise<string> => {
  const form = { grant_type: 'client_credentials', scope: 'revocations' }
  return (await postAs(server, api, '/token', form)).json().access_token
}

const bearer = (token: unknown) => ({ authorization: `Bearer ${token}` })

async function userTokens(scene: Scene, authorize = '/authorize', token = '/token', of?: TestClient): Promise<Answer> {
  const client = of ?? (await tryClient(scene))!
  return redeemed(scene, client, await answerOf(scene, client, {}, authorize), token)
}

/** What is nowhere here, by the path that most servers have it at. */
const absent = (path: string): Endpoint => ({
  path,
  async works({ server }) {
    const replies = await Promise.all([server.get(path), server.post(path, { client_id: 'x', scope: 'openid' })])
    return replies.some(({ statusCode }) => statusCode !== 404)
  },
})

export const endpoints: Readonly<Record<string, Endpoint>> = {
  authorization_endpoint: {
    path: '/authorize',
    works: async (scene, path) => 'access_token' in (await userTokens(scene, path)),
  },
  token_endpoint: {
    path: '/token',
    works: async (scene, path) => 'access_token' in (await userTokens(scene, undefined, path)),
  },
  jwks_uri: { path: '/jwks', works: async ({ server }, path) => (await server.get(path)).json().keys.length > 0 },
  userinfo_endpoint: {
    path: '/userinfo',
    async works(scene, path) {
      const { access_token } = await userTokens(scene)
      return (await scene.server.get(path, bearer(access_token))).json().sub === scene.user.id
    },
  },
  end_session_endpoint: {
    path: '/logout',
    works: async ({ server }, path) => /logout-yes|signed out/i.test((await server.get(path)).body),
  },
  registration_endpoint: {
    path: '/register',
    async works({ server, token }, path) {
      return (await ask(server, 'POST', path, metadata, { token })).statusCode === 201
    },
  },
  introspection_endpoint: {
    path: '/introspect',
    async works(scene, path) {
      const { server, api } = scene
      return (await postAs(server, api, path, { token: await serviceToken(scene) })).json().active === true
    },
  },
  revocation_endpoint: {
    path: '/revoke',
    async works(scene, path) {
      const { server } = scene
      const client = (await tryClient(scene))!
      const { access_token = '' } = await userTokens(scene, undefined, undefined, client)
      await postAs(server, client, path, { token: access_token })
      return (await server.get('/userinfo', bearer(access_token))).statusCode === 401
    },
  },
  revocation_feed_endpoint: {
    path: '/revocations',
    // With a token it would be a stream without an end.
    works: async ({ server }, path) => (await server.get(path)).statusCode === 401,
  },
  revocation_snapshot_endpoint: {
    path: '/revocations/snapshot',
    works: async (scene, path) => (await scene.server.get(path, bearer(await serviceToken(scene)))).statusCode === 200,
  },
  rate_limits_endpoint: {
    path: '/rate-limits',
    async works(scene, path) {
      return (await scene.server.post(path, {}, bearer(await serviceToken(scene)))).statusCode === 200
    },
  },
  usage_endpoint: {
    path: '/usage',
    async works(scene, path) {
      return (await scene.server.post(path, {}, bearer(await serviceToken(scene)))).statusCode === 202
    },
  },
  status_list_aggregation_endpoint: {
    path: '/status-lists',
    // With STATUS_LISTS=off the address stays for tokens from before; those from now on are in no list.
    async works(scene, path) {
      const { status } = claimsOf((await userTokens(scene)).access_token ?? '') as {
        status?: { status_list: StatusList }
      }
      return status !== undefined && (await scene.server.get(path)).json().status_lists.includes(status.status_list.uri)
    },
  },
  pushed_authorization_request_endpoint: absent('/par'),
  device_authorization_endpoint: absent('/device_authorization'),
  backchannel_authentication_endpoint: absent('/backchannel-authentication'),
  check_session_iframe: absent('/check-session'),
}

/** Whether a grant of this type gives a token. What we do not have is asked for as other servers would give it. */
export const grants: Readonly<Record<string, (scene: Scene, grantType: string) => Promise<boolean>>> = {
  authorization_code: async (scene) => 'access_token' in (await userTokens(scene)),
  async refresh_token(scene, grant_type) {
    const client = (await tryClient(scene))!
    const answer = await answerOf(scene, client, { scope: 'openid offline_access' })
    const { refresh_token = '' } = await redeemed(scene, client, answer)
    return 'access_token' in (await postAs(scene.server, client, '/token', { grant_type, refresh_token })).json()
  },
  async client_credentials({ server }, grant_type) {
    return 'access_token' in (await postAs(server, await server.createService('read'), '/token', { grant_type })).json()
  },
  // It is asked for at the authorization endpoint.
  async implicit(scene, grantType) {
    if ((await errorAtToken(scene, grantType)) !== 'unsupported_grant_type') throw new Error('/token takes implicit')
    const client = await tryClient(scene, { grant_types: ['implicit'] })
    if (!client) return false
    const page = await scene.browser.open(
      authorizationUrl(client, { response_type: 'id_token token', scope: 'openid', nonce: 'n' }),
    )
    return 'access_token' in page.fragment
  },
  async 'urn:ietf:params:oauth:grant-type:token-exchange'({ server, key }) {
    return 'access_token' in (await exchange(server, key)).json()
  },
}

/** @returns false where it is `unsupported_grant_type`, and cannot be registered */
export async function unknownGrant(scene: Scene, grant_type: string): Promise<boolean> {
  const registered = await tryClient(scene, { grant_types: ['authorization_code', grant_type] })
  return (await errorAtToken(scene, grant_type)) !== 'unsupported_grant_type' || registered !== undefined
}

/** Asked for as other servers would give it. */
async function errorAtToken({ server, user }: Scene, grant_type: string): Promise<unknown> {
  const form = {
    ...{ grant_type, username: user.email, password: user.password, assertion: 'a.b.c', device_code: 'x' },
    ...{ auth_req_id: 'x', 'pre-authorized_code': 'x', scope: 'read' },
  }
  return (await postAs(server, await server.createService('read'), '/token', form)).json().error
}
