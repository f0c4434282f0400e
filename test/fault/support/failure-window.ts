import type { Context } from '../../../src/context.js'
import { hmacSha256 } from '../../../src/platform/crypto/hash.js'
import { networkOf } from '../../../src/platform/network.js'

/** What the failures of a client are counted by, for whoever comes from this machine. */
export function failureKey({ secrets }: Pick<Context, 'secrets'>, clientId: string): Buffer {
  return hmacSha256(secrets.current.derive('failure counter'), `client\0${clientId}\0${networkOf('127.0.0.1')}`)
}

/** Seconds until a window of failures ends by itself: each client's begins at a time of its own. */
export function windowLeft(ctx: Pick<Context, 'secrets' | 'config'>, clientId: string): number {
  const { failureWindow } = ctx.config.limits
  const phase = failureKey(ctx, clientId).readUInt32BE(0) % failureWindow
  return failureWindow - ((Date.now() / 1000 + phase) % failureWindow)
}
