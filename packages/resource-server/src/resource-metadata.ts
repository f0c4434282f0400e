/** What an API says about itself, so that a client finds the server by a challenge. RFC 9728. */
export interface ResourceMetadata {
  /** Undefined where the identifier is no http(s) URL: then there is no address that follows from it. RFC 9728 §3.1. */
  readonly url: string | undefined
  readonly path: string | undefined
  /** JSON. @param scopes that the API names in its requirements */
  readonly body: (scopes: Iterable<string>) => string
}

export interface ResourceMetadataOptions {
  readonly issuer: string
  readonly audience: string
  /** Further members of RFC 9728 §2, such as `resource_name` and `resource_documentation`. */
  readonly metadata: Readonly<Record<string, unknown>>
}

const wellKnown = '/.well-known/oauth-protected-resource'

export function createResourceMetadata({ issuer, audience, metadata }: ResourceMetadataOptions): ResourceMetadata {
  const url = URL.canParse(audience) ? new URL(audience) : undefined
  const isHttp = url !== undefined && /^https?:$/.test(url.protocol)
  const path = isHttp ? `${wellKnown}${url.pathname.replace(/\/$/, '')}` : undefined
  return {
    path,
    // Its query stays behind the path. RFC 9728 §3.1.
    url: isHttp ? `${url.origin}${path}${url.search}` : undefined,
    body: (scopes) =>
      JSON.stringify({
        scopes_supported: [...new Set(scopes)].sort(),
        ...metadata,
        resource: audience,
        authorization_servers: [issuer],
        bearer_methods_supported: ['header'],
      }),
  }
}

/** Public and the same for everybody: a page of any origin may read them (RFC 9728 §3.2). */
export const metadataHeaders = {
  'content-type': 'application/json',
  'cache-control': 'public, max-age=300',
  'access-control-allow-origin': '*',
}
