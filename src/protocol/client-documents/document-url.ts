/** As long as any client_id may be. */
const longest = 255

/** Whether a client_id is meant to be the address of a document. */
export function isDocumentUrl(clientId: string): boolean {
  return clientId.startsWith('https://')
}

/**
 * What speaks against an address as a client_id, before anybody is asked. It is taken in the one spelling that a URL has when it
 * was parsed: so there are no dot segments, whether encoded or not, and two spellings are never two clients. CIMD §3.
 *
 * @returns for the audit; undefined where nothing does
 */
export function documentUrlProblem(clientId: string): string | undefined {
  if (clientId.length > longest || !/^[\x21-\x7e]+$/.test(clientId) || !URL.canParse(clientId)) return 'url_malformed'
  const url = new URL(clientId)
  if (url.protocol !== 'https:') return 'url_not_https'
  if (url.username !== '' || url.password !== '') return 'url_credentials'
  if (clientId.includes('#')) return 'url_fragment'
  // It should have none, and so here it has none: a client would have as many names as there are queries.
  if (clientId.includes('?')) return 'url_query'
  if (url.href !== clientId) return url.href === `${clientId}/` ? 'url_no_path' : 'url_not_normal'
  return url.pathname === '/' ? 'url_no_path' : undefined
}
