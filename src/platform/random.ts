import { randomBytes, randomFillSync, randomUUID } from 'node:crypto'

/** The only source of randomness. Everything it gives is fit for secrets. */
export interface Random {
  /** `n` unpredictable bytes. */
  bytes(n: number): Buffer
  /** A random (version 4) UUID in lower case. RFC 9562 §5.4. */
  uuid(): string
}

const stockSize = 4096
const stock = Buffer.alloc(stockSize)
let taken = stockSize

/**
 * Takes them from a stock that is drawn at once: a draw by itself costs ten times what it is for. What was taken is wiped, so
 * that no byte is given twice or lies about.
 */
function take(n: number): Buffer {
  if (n > stockSize / 8) return randomBytes(n)
  if (taken + n > stockSize) {
    randomFillSync(stock)
    taken = 0
  }
  const bytes = Buffer.from(stock.subarray(taken, taken + n))
  stock.fill(0, taken, taken + n)
  taken += n
  return bytes
}

/** The generator of the operating system, by way of OpenSSL. */
export const systemRandom: Random = {
  bytes: take,
  uuid: () => randomUUID(),
}
