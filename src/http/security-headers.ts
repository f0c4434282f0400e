import type { FastifyReply } from 'fastify'
import { isLoopbackHost } from '../platform/network.js'

/**
 * The header fields of every response, pages and documents, errors included (RFC 9700 §4.16; attacks 24 and 126). The
 * policy is for what is no page; `sendPage` puts its own in its place.
 *
 * Cross-Origin-Opener-Policy is left out: it would cut off applications that sign in by a popup window.
 */
export function securityHeaders(issuer: string): Readonly<Record<string, string>> {
  const { protocol, hostname } = new URL(issuer)
  return {
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'X-Frame-Options': 'DENY',
    'Cross-Origin-Resource-Policy': 'same-origin',
    // Two years. A browser ignores it on plain http (RFC 6797 §8.1). It counts for all ports of a host: for `localhost`
    // it would take plain http from whatever else is developed on this machine.
    ...(protocol === 'https:' && !isLoopbackHost(hostname)
      ? { 'Strict-Transport-Security': 'max-age=63072000; includeSubDomains' }
      : {}),
  }
}

/** RFC 6749 §5.1: neither a browser nor a proxy keeps the answer. `Pragma` is for those that know no HTTP/1.1. */
export const noStoreHeaders = { 'Cache-Control': 'no-store', Pragma: 'no-cache' } as const

export function noStore(reply: FastifyReply): void {
  reply.headers(noStoreHeaders)
}
