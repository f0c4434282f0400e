import { describeError } from '../platform/log.js'

/**
 * One line about a database that cannot be reached or does not let us in: why, and what to do. PostgreSQL tells a wrong
 * password, a missing database and a wrong role apart, so we do.
 */
export function databaseAwayText(error: unknown): string {
  const why = innermostMessage(describeError(error))
  return `The database cannot be reached${why ? ` (${why})` : ''}. Check DATABASE_URL and that PostgreSQL runs, then try again.`
}

/** What the driver said; what wraps it only says that a statement failed. */
function innermostMessage(described: unknown): string {
  if (typeof described === 'string') return oneLine(described)
  if (typeof described !== 'object' || described === null) return ''
  // Both address families of a name were tried: the first says enough.
  const inner = 'cause' in described ? described.cause : firstOf('errors' in described ? described.errors : undefined)
  const message = 'message' in described && typeof described.message === 'string' ? oneLine(described.message) : ''
  return innermostMessage(inner) || message
}

function firstOf(list: unknown): unknown {
  return Array.isArray(list) ? list[0] : undefined
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, 200)
}
