import type { Origin } from '../context.js'

/** Who did an act of administration, for the audit. */
export interface By {
  /** `operator` (the command line), `user:…` or `client:…` (the admin API), `system`. */
  readonly actor: string
  readonly origin?: Origin
}

/** The part of an event that says who did it, and from where. */
export function actOf({ actor, origin }: By): { readonly actor: string } & Origin {
  return { actor, ...origin }
}
