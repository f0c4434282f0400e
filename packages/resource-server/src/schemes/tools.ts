import type { Settings } from '../options.js'
import type { Revocations } from '../revocation/entries.js'
import type { ServerMetadata } from '../server-metadata.js'
import type { Usage } from '../usage.js'
import type { Verifier } from '../verifier.js'

/** What a scheme may use of the connection to the server. There is one such object for each API. */
export interface Tools
  extends Pick<
    Settings,
    'platform' | 'issuer' | 'audience' | 'credentials' | 'clockSkew' | 'cacheSize' | 'addressOf' | 'warn'
  > {
  readonly verifier: Verifier
  readonly revocations: Revocations
  readonly server: ServerMetadata
  /** Undefined where nobody is told how credentials are used. */
  readonly usage: Usage | undefined
  /** Milliseconds that an answer of the server stands now. */
  readonly standing: () => number
}

/** What a scheme keeps for each API that lists it. */
export function perApi<Value>(create: (tools: Tools) => Value): (tools: Tools) => Value {
  const kept = new WeakMap<Tools, Value>()
  return (tools) => {
    const known = kept.get(tools)
    if (known !== undefined) return known
    const made = create(tools)
    kept.set(tools, made)
    return made
  }
}
