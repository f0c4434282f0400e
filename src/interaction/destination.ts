import type { Client } from '../clients/index.js'
import { isLoopbackHost } from '../oauth/index.js'

/**
 * The place for which a decision is remembered: scheme and host of where its answer goes. Undefined where an administrator vouches
 * for all redirect URIs of the client. A stranger may have named the host of somebody else besides its own: what was allowed by
 * that name must not go elsewhere unasked (attack 98). On loopback any port: an app takes the one that is free (RFC 8252 §7.3).
 */
export function rememberedPlace({ selfRegistered }: Client, destination: string): string | undefined {
  if (!selfRegistered) return undefined
  const { protocol, host, hostname } = new URL(destination)
  return `${protocol}//${isLoopback(destination) ? hostname : host}`
}

/** Whoever listens there is a program on the user's own device. */
export function isLoopback(destination: string): boolean {
  const { protocol, hostname } = new URL(destination)
  return /^https?:$/.test(protocol) && isLoopbackHost(hostname)
}
