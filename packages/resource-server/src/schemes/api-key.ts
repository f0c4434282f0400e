import { countedKey, deprecationOf } from '../api-keys/answer.js'
import { looksLikeApiKey, parseApiKey } from '../api-keys/format.js'
import { keysInAddress } from '../api-keys/in-address.js'
import { createKnownKeys, problemOfPlace } from '../api-keys/known-keys.js'
import { headerValues, type RequestLike } from '../request.js'
import { createExposure, type ExposedApiKey } from './exposure.js'
import type { Scheme, ShownOther } from './scheme.js'
import { perApi } from './tools.js'

export type { ExposedApiKey } from './exposure.js'

export interface ApiKeyOptions {
  /**
   * Told of a key that stood in an address and is good, once for each as long as it is remembered. Its secret is not among
   * what is told. The server and the `warn` of `protect` hear of it in any case.
   */
  readonly report?: (exposed: ExposedApiKey) => void
}

/** API keys of the server, as `Authorization: Bearer …` or `X-API-Key: …`. Needs credentials. */
export function apiKey(options: ApiKeyOptions = {}): Scheme {
  const keysOf = perApi((tools) => createKnownKeys(tools, { kinds: ['secret', 'publishable'] }))
  const exposed = createExposure({ report: options.report, keysOf })

  function show(text: string, request: RequestLike): ShownOther['authenticate'] {
    const parsed = parseApiKey(text)
    return async (tools) => {
      // Without a look at the server, and before one: who made it up can go on for ever (attack 113).
      if (!parsed) return 'key_malformed'
      const known = await keysOf(tools).find(text, parsed.id, tools.addressOf(request))
      return typeof known === 'string' ? known : (problemOfPlace(known, request, tools) ?? known.token)
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
      const inAddress = exposed(keysInAddress(request))
      if (inAddress) return inAddress
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
