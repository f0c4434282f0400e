import { UnavailableError } from './errors.js'
import { fetchText } from './http.js'
import { parseObject } from './json.js'
import type { Platform } from './platform.js'

/** Of the resource server's own client: `ostiary resource create` prints them. */
export interface Credentials {
  readonly clientId: string
  readonly clientSecret: string
}

/** The token by which this verifier reads the feed. */
export interface ServiceToken {
  /** @throws {UnavailableError} */
  readonly get: (signal?: AbortSignal) => Promise<string>
  /** It was refused: the next one is new. */
  readonly drop: () => void
}

/** Of its lifetime: then it is not used for a new connection. */
const useful = 0.8

export function createServiceToken(
  platform: Platform,
  endpoint: string,
  credentials: Credentials,
  scope: string,
): ServiceToken {
  let token: { readonly value: string; readonly until: number } | undefined
  return {
    async get(signal) {
      if (token && platform.monotonic() < token.until) return token.value
      const askedAt = platform.monotonic()
      const { text } = await fetchText(platform, endpoint, {
        accept: 'application/json',
        headers: { authorization: basicOf(credentials) },
        form: { grant_type: 'client_credentials', scope },
        limit: 65_536,
        ...(signal ? { signal } : {}),
      })
      const { access_token, expires_in, token_type } = parseObject(text) ?? {}
      if (typeof access_token !== 'string' || typeof token_type !== 'string' || token_type.toLowerCase() !== 'bearer') {
        throw new UnavailableError(`${endpoint} answered without a token`)
      }
      const lifetime = typeof expires_in === 'number' ? expires_in * 1000 : 0
      token = { value: access_token, until: askedAt + lifetime * useful }
      return access_token
    },
    drop() {
      token = undefined
    },
  }
}

/** RFC 6749 §2.3.1: both parts are form-encoded first. */
export function basicOf({ clientId, clientSecret }: Credentials): string {
  const half = (text: string): string => new URLSearchParams({ '': text }).toString().slice(1)
  return `Basic ${btoa(`${half(clientId)}:${half(clientSecret)}`)}`
}
