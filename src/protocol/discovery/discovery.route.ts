import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { type CachedDocument, cachedDocument, directAnswers, sendCached } from '../../http/index.js'
import { authorizationServerMetadata, openIdProviderMetadata } from './metadata.js'

/** Seconds that anybody may keep them: a new signing key is published a day before it signs. */
const maxAge = 300

/** `GET /.well-known/oauth-authorization-server` (RFC 8414 §3) and `GET /jwks` (RFC 7517 §5): bytes, made once per change. */
export function discoveryRoutes(app: FastifyInstance, ctx: Context): void {
  const metadata = onChange(
    () => ctx.resources.scopes(),
    () => authorizationServerMetadata(ctx),
    'application/json',
  )
  const jwks = onChange(
    () => {
      // The keys change with time, too: one leaves when its last token has expired.
      const kids = ctx.keys.jwks().keys.map(({ kid }) => kid)
      return kids.join(' ')
    },
    () => ctx.keys.jwks(),
    'application/jwk-set+json',
  )

  const openId = onChange(
    () => ctx.resources.scopes(),
    () => openIdProviderMetadata(ctx),
    'application/json',
  )

  for (const path of metadataPaths(ctx.config.server.issuer)) {
    document(app, path, metadata)
  }
  const prefix = issuerPath(ctx.config.server.issuer)
  // OIDC Discovery §4: appended, where RFC 8414 §3.1 puts its own in front.
  for (const path of openIdPaths(prefix)) document(app, path, openId)
  for (const path of [`${prefix}/jwks`, `${prefix}/.well-known/jwks.json`]) {
    document(app, path, jwks)
  }
}

function document(app: FastifyInstance, path: string, current: () => CachedDocument): void {
  directAnswers(app).document(app, path, current)
  app.get(path, (request, reply) => sendCached(request, reply, current()))
}

/** The path of the issuer, without a slash at its end. */
export function issuerPath(issuer: string): string {
  return new URL(issuer).pathname.replace(/\/$/, '')
}

/** RFC 8414 §3.1 inserts the well-known part before the issuer's path; many clients append it. */
function metadataPaths(issuer: string): readonly string[] {
  const name = '/.well-known/oauth-authorization-server'
  const path = issuerPath(issuer)
  return path === '' ? [name] : [`${name}${path}`, `${path}${name}`]
}

/** Clients that follow RFC 8414 §5 ask for it in front of the issuer's path too. */
function openIdPaths(path: string): readonly string[] {
  const name = '/.well-known/openid-configuration'
  return path === '' ? [name] : [`${path}${name}`, `${name}${path}`]
}

function onChange(version: () => unknown, content: () => object, contentType: string): () => CachedDocument {
  let made: { readonly of: unknown; readonly document: CachedDocument } | undefined
  return () => {
    const of = version()
    if (made && made.of === of) return made.document
    const document = cachedDocument(content(), { contentType, maxAge })
    made = { of, document }
    return document
  }
}
