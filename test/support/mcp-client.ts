import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { OAuthClientInformationMixed, OAuthTokens } from '@modelcontextprotocol/sdk/shared/auth.js'

export const mcpRedirectUri = 'http://127.0.0.1:3334/callback'

export const mcpClientMetadata = {
  client_name: 'Agent',
  redirect_uris: [mcpRedirectUri],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
}

/** An agent with nothing but an address: the SDK's client, with a store of its own. */
export interface TestAgent {
  /** What it would open in a browser, in order. */
  readonly asked: readonly URL[]
  readonly tokens: () => OAuthTokens | undefined
  readonly information: () => OAuthClientInformationMixed | undefined
  /** @throws {UnauthorizedError} where its user has to be asked first */
  readonly connect: () => Promise<Client>
  /** With the code that its user came back with. */
  readonly finish: (code: string) => Promise<void>
}

export function createAgent(url: string, clientMetadataUrl?: string): TestAgent {
  const asked: URL[] = []
  let information: OAuthClientInformationMixed | undefined
  let tokens: OAuthTokens | undefined
  let verifier = ''
  const authProvider = {
    redirectUrl: mcpRedirectUri,
    clientMetadata: mcpClientMetadata,
    ...(clientMetadataUrl === undefined ? {} : { clientMetadataUrl }),
    clientInformation: () => information,
    saveClientInformation(next: OAuthClientInformationMixed) {
      information = next
    },
    tokens: () => tokens,
    saveTokens(next: OAuthTokens) {
      tokens = next
    },
    redirectToAuthorization: (address: URL) => void asked.push(address),
    saveCodeVerifier(next: string) {
      verifier = next
    },
    codeVerifier: () => verifier,
    invalidateCredentials(scope: string) {
      if (scope !== 'verifier') tokens = undefined
      if (scope === 'all') information = undefined
    },
  }
  const transport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider })
  return {
    asked,
    tokens: () => tokens,
    information: () => information,
    async connect() {
      const client = new Client({ name: 'agent', version: '1.0.0' })
      await client.connect(transport())
      return client
    },
    finish: (code) => transport().finishAuth(code),
  }
}
