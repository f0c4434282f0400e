/** 2^255 - 19: coordinates are numbers below it. RFC 8032 §5.1. */
const p = 2n ** 255n - 19n

/** The `y` of one of the four points of order 8; that of the others is p - y. */
const y8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n

/** The points of order 4, 1, 2 and 8: each `y` is that of one point or two, which differ in the sign of `x`. */
const smallOrder: ReadonlySet<bigint> = new Set([0n, 1n, p - 1n, y8, p - y8])

/**
 * Why the 32 bytes of a public key are refused: under one of the eight points of small order a signature can be made up that
 * holds for many messages, without any private key; and of a coordinate that is not below p there is a second way to write it.
 * RFC 8032 §5.1.3 says the second alone; no honest key is either.
 */
export function ed25519Problem(bytes: Uint8Array): 'non_canonical' | 'small_order' | undefined {
  const reversed = Buffer.from(bytes).reverse()
  // The first bit is the sign of x.
  reversed[0]! &= 0x7f
  const y = BigInt(`0x${reversed.toString('hex')}`)
  if (y >= p) return 'non_canonical'
  return smallOrder.has(y) ? 'small_order' : undefined
}
