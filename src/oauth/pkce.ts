import { sha256, timingSafeEqual } from '../platform/crypto/hash.js'

/** The base64url of a SHA-256. */
const s256Challenge = /^[A-Za-z0-9_-]{43}$/
const unreserved = /^[A-Za-z0-9._~-]{43,128}$/

/** Whether this can be the challenge of any verifier by S256, the only method there is here. RFC 7636 §4.2. */
export function isCodeChallenge(text: string): boolean {
  return s256Challenge.test(text)
}

/** Whether this has the form of a verifier: 43 to 128 unreserved characters. RFC 7636 §4.1. */
export function isCodeVerifier(text: string): boolean {
  return unreserved.test(text)
}

/** Whether the challenge was made from the verifier by S256. False for a verifier of the wrong form. RFC 7636 §4.6. */
export function verifyCodeChallenge(verifier: string, challenge: string): boolean {
  if (!isCodeVerifier(verifier)) return false
  return timingSafeEqual(Buffer.from(sha256(verifier).toString('base64url')), Buffer.from(challenge))
}
