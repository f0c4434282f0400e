import { sha256 } from '../platform/crypto/hash.js'

/** A document that was serialised once, to be sent many times. */
export interface CachedDocument {
  readonly body: Buffer
  /** Strong, with its quotes. */
  readonly etag: string
  readonly contentType: string
  /** Seconds that it may be used without asking again. */
  readonly maxAge: number
}

export function cachedDocument(
  content: object,
  { contentType, maxAge }: Pick<CachedDocument, 'contentType' | 'maxAge'>,
): CachedDocument {
  const body = Buffer.from(JSON.stringify(content))
  return { body, etag: `"${sha256(body).toString('base64url').slice(0, 22)}"`, contentType, maxAge }
}

/** What says how long it may be kept, and how it is asked for again. RFC 9111 §5.2, RFC 9110 §8.8.3. */
export function documentHeaders({ etag, maxAge }: CachedDocument): Readonly<Record<string, string>> {
  return { 'Cache-Control': `public, max-age=${maxAge}`, ETag: etag }
}
