import type { OutboundProblem } from './outbound-url.js'

/** Why there is no answer: for the audit and the log. */
export type OutboundReason =
  | OutboundProblem
  | 'outbound_name_unknown'
  | 'outbound_unreachable'
  | 'outbound_tls'
  | 'outbound_timeout'
  | 'outbound_too_large'
  | 'outbound_redirect'
  | 'outbound_encoded'
  | 'outbound_busy'

/** An address that a stranger named was not asked, or gave no answer that is taken. The message has no part of the address. */
export class OutboundError extends Error {
  override readonly name = 'OutboundError'
  readonly reason: OutboundReason

  constructor(reason: OutboundReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}
