import { randomBytes, randomUUID } from 'node:crypto'

/** The only source of randomness. Everything it gives is fit for secrets. */
export interface Random {
  /** `n` unpredictable bytes. */
  bytes(n: number): Buffer
  /** A random (version 4) UUID in lower case. RFC 9562 §5.4. */
  uuid(): string
}

/** The generator of the operating system, by way of OpenSSL. */
export const systemRandom: Random = {
  bytes: (n) => randomBytes(n),
  uuid: () => randomUUID(),
}
