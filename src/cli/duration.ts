import { UsageError } from './command.js'

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 365 * 86_400 }

/** Seconds of `30d`, `12h`, `90m` or `3600`. @throws {UsageError} */
export function duration(text: string, option: string): number {
  const [, digits, unit = 's'] = /^(\d{1,9})([smhdwy])?$/.exec(text) ?? []
  if (digits !== undefined) return Number(digits) * units[unit]!
  throw new UsageError(`--${option} is not a duration, such as 30d, 12h or 90m; a bare number is seconds.`)
}

/** In whole days where it is so. */
export function durationText(seconds: number): string {
  return seconds % 86_400 === 0 ? `${seconds / 86_400} days` : `${seconds} s`
}
