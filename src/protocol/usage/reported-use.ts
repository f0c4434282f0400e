import { parseNetwork } from '../../platform/network.js'
import type { CredentialKind } from '../../store/index.js'

/** A line of a report, checked for its form alone. */
export interface ReportedUse {
  readonly kind: CredentialKind
  readonly credential: string
  readonly outcome: ReportedOutcome
  readonly count: number
  /** Seconds since the last of them. */
  readonly ago: number
  readonly superseded: boolean
  /** Undefined where the API does not know it. */
  readonly network: string | undefined
  readonly scope: readonly string[]
}

export type ReportedOutcome = (typeof outcomes)[number]

const outcomes = ['accepted', 'insufficient_scope', 'network', 'origin', 'rate_limited'] as const

/** Scopes of one line. */
const mostScopes = 500

/** A client_id is whatever RFC 6749 §A.1 allows but a space. */
const form =
  /^(api_key|client) ([!-~]{1,255}) ([a-z_]{1,20}) (\d{1,9}) (\d{1,5}) ([01]) ([0-9a-f.:/]{1,43}|-)((?: [!#-[\]-~]+)*)$/

/** @returns undefined for what is none: KIND CREDENTIAL OUTCOME COUNT AGO SUPERSEDED NETWORK SCOPE … */
export function readUse(line: string): ReportedUse | undefined {
  const [, kind, credential = '', name, count = '', ago, superseded, network = '', rest = ''] = form.exec(line) ?? []
  const outcome = outcomes.find((each) => each === name)
  const scope = rest === '' ? [] : rest.slice(1).split(' ')
  if ((kind !== 'api_key' && kind !== 'client') || !outcome || scope.length > mostScopes || !(Number(count) > 0)) {
    return undefined
  }
  // Whole addresses are not kept here: who sends them must not rely on it.
  if (network !== '-' && !(parseNetwork(network) === network && /\/(?:24|64)$/.test(network))) return undefined
  return {
    ...{ kind, credential, outcome, scope },
    count: Number(count),
    ago: Number(ago),
    superseded: superseded === '1',
    network: network === '-' ? undefined : network,
  }
}
