/** The rows that an answer of /token needs; written by the statement that spends what it was made for. */
export interface NewTokens {
  readonly refreshToken?: NewRefreshToken | undefined
  /** Only an opaque one has a row. */
  readonly accessToken?: NewAccessToken | undefined
}

export interface NewRefreshToken {
  readonly bucket: number
  readonly hash: Buffer
  readonly expiresAt: Date
}

export interface NewAccessToken {
  readonly bucket: number
  readonly hash: Buffer
  /** What introspection answers; the claims that a JWT would carry. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly expiresAt: Date
}

export const tokenColumns =
  'refresh_bucket, refresh_hash, refresh_expires_at, access_bucket, access_hash, access_claims, access_expires_at'

/** Seven arrays, in the order of `tokenColumns`. */
export function tokenParameters(items: readonly NewTokens[]): unknown[] {
  return [
    items.map(({ refreshToken }) => refreshToken?.bucket ?? null),
    items.map(({ refreshToken }) => refreshToken?.hash ?? null),
    items.map(({ refreshToken }) => refreshToken?.expiresAt ?? null),
    items.map(({ accessToken }) => accessToken?.bucket ?? null),
    items.map(({ accessToken }) => accessToken?.hash ?? null),
    items.map(({ accessToken }) => (accessToken ? JSON.stringify(accessToken.claims) : null)),
    items.map(({ accessToken }) => accessToken?.expiresAt ?? null),
  ]
}
