import { type ApiKeyText, parseApiKey } from '../api-keys/format.js'
import { keysInAddress } from '../api-keys/in-address.js'
import { createKnownKeys, type KnownKeys } from '../api-keys/known-keys.js'
import { type BoundedMap, createBoundedMap } from '../bounded-map.js'
import type { Scheme, ShownProblem } from './scheme.js'
import { perApi, type Tools } from './tools.js'

/** A key that stood in an address: it is in logs and histories by now, and belongs to whoever reads these. */
export interface ExposedApiKey extends ApiKeyText {
  /** Of the owner, as the server says: a `sub` or a `client_id`. */
  readonly owner: string
}

interface ExposureOptions {
  readonly report?: ((exposed: ExposedApiKey) => void) | undefined
  readonly keysOf: (tools: Tools) => KnownKeys
}

interface Deliveries {
  readonly heard: BoundedMap<true>
  readonly waiting: Set<string>
}

/** Ids of keys of which it was said that they stood in an address; and of those of which the server has heard, too. */
const reportsRemembered = 10_000

/** Refuses a request for the keys in its address, and tells of the first one where it is good. */
export function createExposure({ report: tell, keysOf }: ExposureOptions) {
  const remembered = () => createBoundedMap<true>(reportsRemembered, reportsRemembered * 16)
  const [saidOf, heardOf, waitingOf] = [perApi(remembered), perApi(remembered), perApi(() => new Set<string>())]

  // One at a time, and of the first key alone: an address has room for hundreds, and anybody can send it.
  const reporting = new WeakSet<Tools>()

  /** What is not good is nobody's any more, and whoever makes keys up must not fill a log. */
  async function report(text: string, tools: Tools): Promise<void> {
    const parsed = parseApiKey(text)
    if (!parsed || reporting.has(tools)) return
    const [said, heard, waiting] = [saidOf(tools), heardOf(tools), waitingOf(tools)]
    if (heard.get(parsed.id) || waiting.has(parsed.id)) return
    reporting.add(tools)
    try {
      const known = await keysOf(tools).find(text, parsed.id)
      if (typeof known === 'string') return
      deliver(text, parsed.id, tools, { heard, waiting })
      if (said.get(parsed.id)) return
      said.set(parsed.id, true)
      tools.warn(`The API key ${parsed.id} stood in the address of a request: it is exposed, and has to be replaced.`)
      tell?.({ ...parsed, owner: known.token.sub })
    } finally {
      reporting.delete(tools)
    }
  }

  /** What the server does not take is told again when the key is shown again: no more wait than the usage has room for. */
  function deliver(text: string, id: string, { usage }: Tools, { heard, waiting }: Deliveries): void {
    if (!usage) {
      heard.set(id, true)
      return
    }
    waiting.add(id)
    void usage.expose(text).then((taken) => {
      waiting.delete(id)
      if (taken) heard.set(id, true)
    })
  }

  return ([exposed]: readonly string[]): ShownProblem | undefined =>
    exposed === undefined
      ? undefined
      : { problem: 'credentials_in_query', report: (tools) => void report(exposed, tools).catch(() => undefined) }
}

/**
 * For an API that takes no keys: it takes none, and one in an address is exposed there as anywhere. The checksum has to be right,
 * since what such an API is sent may look like a key and be something else.
 */
export function noKeyInAddress(): Scheme {
  const exposed = createExposure({
    keysOf: perApi((tools) => createKnownKeys(tools, { kinds: ['secret', 'publishable'] })),
  })
  return {
    name: 'api-key',
    challenge: undefined,
    noun: 'API key',
    read: (request) => exposed(keysInAddress(request).filter((text) => parseApiKey(text) !== undefined)),
  }
}
