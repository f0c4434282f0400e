/** The odd primes up to 167. */
const primes = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
]

/**
 * Whether an RSA modulus comes from the generator of smart cards whose keys can be factored (CVE-2017-15361): its primes, and
 * so their product, are powers of 65537 modulo every small prime. Of other moduli one in 2^27 is.
 */
export function isRoca(modulus: Uint8Array): boolean {
  return primes.every((prime) => {
    const rest = modulus.reduce((sum, byte) => (sum * 256 + byte) % prime, 0)
    let power = 1
    do {
      if (power === rest) return true
      power = (power * 65_537) % prime
    } while (power !== 1)
    return false
  })
}
