import { hmacSha256, timingSafeEqual } from '../platform/crypto/hash.js'

/**
 * The token of one form for one browser: an HMAC, so nothing is stored and no other site can know it (attacks 23 and 30).
 *
 * @param browserId what the browser's cookie holds
 * @param formId what the form is about, such as `login:<interaction id>`
 */
export function csrfToken(key: Uint8Array, browserId: string, formId: string): string {
  return mac(key, browserId, formId).toString('base64url')
}

/** Whether the form was ours and was shown to this browser. Takes the same time whatever the token is. */
export function checkCsrfToken(
  key: Uint8Array,
  browserId: string | undefined,
  formId: string,
  token: unknown,
): boolean {
  if (browserId === undefined || typeof token !== 'string' || !/^[A-Za-z0-9_-]{43}$/.test(token)) return false
  return timingSafeEqual(mac(key, browserId, formId), Buffer.from(token, 'base64url'))
}

/** The lengths come first, so that no two pairs of texts are the same message. */
function mac(key: Uint8Array, browserId: string, formId: string): Buffer {
  return hmacSha256(key, `csrf:${browserId.length}:${browserId}:${formId}`)
}
