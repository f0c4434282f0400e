import { countedKey, deprecationOf } from '../api-keys/answer.js'
import { type ApiKeyText, findApiKeys, looksLikeApiKey, parseApiKey } from '../api-keys/format.js'
import { createKnownKeys, problemOfPlace } from '../api-keys/known-keys.js'
import { createBoundedMap } from '../bounded-map.js'
import { headerValues, queryOf, type RequestLike } from '../request.js'
import type { Scheme, ShownOther } from './scheme.js'
import { perApi, type Tools } from './tools.js'

/** A key that stood in an address: it is in logs and histories by now, and belongs to whoever reads these. */
export interface ExposedApiKey extends ApiKeyText {
  /** Of the owner, as the server says: a `sub` or a `client_id`. */
  readonly owner: string
}

export interface ApiKeyOptions {
  /**
   * Told of a key that stood in an address and is good, once for each as long as it is remembered. Its secret is not among
   * what is told. The server and the `warn` of `protect` hear of it in any case.
   */
  readonly report?: (exposed: ExposedApiKey) => void
}

/** Ids of keys of which it was said that they stood in an address. */
const reportsRemembered = 10_000

/** API keys of the server, as `Authorization: Bearer …` or `X-API-Key: …`. Needs credentials. */
export function apiKey(options: ApiKeyOptions = {}): Scheme {
  const keysOf = perApi((tools) => createKnownKeys(tools, { kinds: ['secret', 'publishable'] }))
  const reportedOf = perApi(() => createBoundedMap<true>(reportsRemembered, reportsRemembered * 16))

  // One at a time, and of the first key alone: an address has room for hundreds, and anybody can send it.
  const reporting = new WeakSet<Tools>()

  function show(text: string, request: RequestLike): ShownOther['authenticate'] {
    const parsed = parseApiKey(text)
    return async (tools) => {
      // Without a look at the server, and before one: who made it up can go on for ever (attack 113).
      if (!parsed) return 'key_malformed'
      const known = await keysOf(tools).find(text, parsed.id, tools.addressOf(request))
      return typeof known === 'string' ? known : (problemOfPlace(known, request, tools) ?? known.token)
    }
  }

  /** What is not good is nobody's any more, and whoever makes keys up must not fill a log. */
  async function report(text: string, tools: Tools): Promise<void> {
    const parsed = parseApiKey(text)
    if (!parsed || reportedOf(tools).get(parsed.id) || reporting.has(tools)) return
    reporting.add(tools)
    try {
      const known = await keysOf(tools).find(text, parsed.id)
      if (typeof known === 'string') return
      reportedOf(tools).set(parsed.id, true)
      tools.usage?.expose(text)
      tools.warn(`The API key ${parsed.id} stood in the address of a request: it is exposed, and has to be replaced.`)
      options.report?.({ ...parsed, owner: known.token.sub })
    } finally {
      reporting.delete(tools)
    }
  }

  return {
    name: 'api-key',
    challenge: 'Bearer',
    noun: 'API key',
    needsCredentials: true,
    headers: deprecationOf,
    counts: countedKey,

    read(request) {
      const [exposed] = exposedIn(request)
      if (exposed !== undefined) {
        return {
          problem: 'credentials_in_query',
          report: (tools) => void report(exposed, tools).catch(() => undefined),
        }
      }
      const authorization = headerValues(request, 'authorization')
      const named = headerValues(request, 'x-api-key')
      const bearers = authorization.flatMap(bearerOf)
      const insteadOf = bearers.length > 0 ? 'bearer' : undefined
      const [text, ...more] = [...bearers, ...named]
      if (text === undefined) return undefined
      if (more.length > 0 || (insteadOf && authorization.length > 1) || !/^\w+$/.test(text)) {
        return { problem: 'request_malformed', insteadOf }
      }
      return { authenticate: show(text, request), insteadOf }
    },
  }
}

/** A bearer token that looks like a key, or several in one header of which one is a key. */
function bearerOf(value: string): readonly string[] {
  if (!/^bearer /i.test(value)) return []
  const token = value.slice('bearer '.length).trim()
  const isKey = looksLikeApiKey(token) || (/[ ,]/.test(token) && token.split(/[ ,]/).some(looksLikeApiKey))
  return isKey ? [token] : []
}

/**
 * Keys in an address, once or twice encoded: in the query, whatever parameter they stand in, or in the path. A whole value of the
 * query is one by its form alone; anywhere else the checksum has to be right, since random text in base64url can look like one.
 */
function exposedIn(request: RequestLike): readonly string[] {
  let { url = '' } = request
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
