import { queryOf, type RequestLike } from '../request.js'
import { findApiKeys, looksLikeApiKey, shortest } from './format.js'

/**
 * Keys in an address, once or twice encoded: in the query, whatever parameter they stand in, or in the path. A whole value of the
 * query is one by its form alone; anywhere else the checksum has to be right, since random text in base64url can look like one.
 */
export function keysInAddress(request: RequestLike): readonly string[] {
  let { url = '' } = request
  if (url.length < shortest) return []
  let query = queryOf(request) ?? ''
  const found: string[] = []
  for (let times = 0; times < 3; times++) {
    found.push(...findApiKeys(url), ...query.split(/[&;=]/).filter(looksLikeApiKey))
    if (!url.includes('%')) break
    url = decode(url)
    query = decode(query)
  }
  return found
}

/** Once, of what a key and the characters around it are made of. */
function decode(text: string): string {
  return text.replace(/%([2-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
