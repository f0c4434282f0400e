import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { encodedQuery, HttpError } from '../../http/index.js'
import { readParameters } from '../../oauth/index.js'
import { hmacSha256, sha256, timingSafeEqual } from '../../platform/crypto/hash.js'
import { createClientLogos } from './client-logos.js'

interface Address {
  readonly Params: { readonly id: string }
}

/** For a page of ours: who has not seen one has us fetch nothing (attack 95). */
export function clientLogoPath(ctx: Context, clientId: string): string {
  return `/client-logos/${encodeURIComponent(clientId)}?of=${proofOf(ctx, clientId)}`
}

function proofOf({ secrets }: Context, clientId: string): string {
  return hmacSha256(secrets.current.derive('client logo'), clientId).toString('base64url')
}

/** `GET /client-logos/CLIENT_ID?of=…`: our copy of a client's logo, for the page on which its user decides. RFC 7591 §2 */
export function clientLogoRoute(app: FastifyInstance, ctx: Context): void {
  const logos = createClientLogos(ctx)
  app.get<Address>('/client-logos/:id', async (request, reply) => {
    const { id } = request.params
    const { of } = readParameters(encodedQuery(request))
    const isShown = typeof of === 'string' && timingSafeEqual(sha256(of), sha256(proofOf(ctx, id)))
    const logo = isShown ? await logos.find(id) : undefined
    if (!logo) throw new HttpError(404, 'There is no logo.', { reason: 'logo_missing' })
    return reply
      .headers({
        'Cache-Control': 'private, max-age=3600',
        ETag: logo.etag,
        // A stranger's bytes at our origin: opened by themselves they are an image, and nothing more.
        'Content-Security-Policy': "default-src 'none'; sandbox; frame-ancestors 'none'",
        'Content-Disposition': 'inline',
      })
      .type(logo.contentType)
      .send(logo.body)
  })
}
