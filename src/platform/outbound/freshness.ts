import type { OutboundAnswer } from './request.js'

/** Milliseconds. */
export interface FreshnessBounds {
  /** Also for what may not be kept: else we would ask all the time. */
  readonly least: number
  readonly most: number
  /** Where the answer says nothing. */
  readonly unsaid: number
}

/** Milliseconds for which an answer counts, by what it says of itself. RFC 9111 §4.2, §5.2.2. */
export function freshFor({ headers }: OutboundAnswer, { least, most, unsaid }: FreshnessBounds): number {
  const control = headers['cache-control'] ?? ''
  if (/\b(?:no-store|no-cache)\b/i.test(control)) return least
  const said = maxAge(control, headers['age']) ?? untilExpires(headers['expires'], headers['date']) ?? unsaid
  return Math.min(Math.max(said, least), most)
}

/** RFC 9111 §5.2.2.1, §5.1. */
function maxAge(control: string, age: string | undefined): number | undefined {
  const [, seconds] = /(?:^|[\s,])max-age="?(\d{1,9})\b/i.exec(control) ?? []
  if (seconds === undefined) return undefined
  return (Number(seconds) - (age !== undefined && /^\d{1,9}$/.test(age) ? Number(age) : 0)) * 1000
}

/** RFC 9111 §5.3, by the clock of whoever wrote both. */
function untilExpires(expires: string | undefined, date: string | undefined): number | undefined {
  if (expires === undefined || date === undefined) return undefined
  const milliseconds = Date.parse(expires) - Date.parse(date)
  // What is no time is one in the past.
  return Number.isNaN(milliseconds) ? 0 : milliseconds
}
