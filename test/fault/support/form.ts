// The long form is what docs/reliability.md is written from; the short one runs with every change.

import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'

export const isLong = process.env['OSTIARY_FAULT_FORM'] === 'long'

/** What a test does more of in the long form. */
export function form<Value>(short: Value, long: Value): Value {
  return isLong ? long : short
}

/**
 * A fault that this machine cannot be made to suffer. The short form leaves it out; the long form fails, for the page that is
 * written from it must not lack a row.
 */
export function cannotRun(t: Test, what: string, reason: string): void {
  if (isLong) t.fail(`${what}: ${reason}`)
  else t.pass(what, { skip: reason })
}

/** Another one each time, unless it is given: print it, so that what failed can be tried again. */
export const seed = process.env['OSTIARY_FAULT_SEED'] ?? randomBytes(4).toString('hex')
