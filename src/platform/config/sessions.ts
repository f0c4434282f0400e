import { type Static, Type } from '@sinclair/typebox'
import type { Source } from './variables.js'

const HOUR = 3600
const DAY = 24 * HOUR

export const sessionsVariables = Type.Object({
  idleLifetime: Type.Integer({
    variable: 'SESSION_IDLE_LIFETIME',
    default: 12 * HOUR,
    minimum: 300,
    maximum: 30 * DAY,
    weakerAbove: 7 * DAY,
    weakness: 'whoever finds a browser that was left open is signed in that long.',
    description:
      'Seconds after which an unused login session ends. Half a day: a browser left open overnight signs out.',
  }),
  lifetime: Type.Integer({
    variable: 'SESSION_LIFETIME',
    default: 7 * DAY,
    minimum: 300,
    maximum: 90 * DAY,
    description:
      'Seconds after a login at which its session ends, however often it is used. A stolen cookie ends with it.',
  }),
  knownDeviceLifetime: Type.Integer({
    default: 180 * DAY,
    minimum: DAY,
    maximum: 400 * DAY,
    description:
      'Seconds after a login in which its browser may log in to that account while strangers are held back. A stolen cookie ends with it.',
  }),
  interactionLifetime: Type.Integer({
    default: HOUR,
    minimum: 300,
    maximum: DAY,
    description:
      'Seconds a started login waits for its user. Long enough to look for a password, short enough to be forgotten.',
  }),
})

export type SessionsConfig = Static<typeof sessionsVariables>

export function checkSessions(sessions: SessionsConfig, source: Source): SessionsConfig {
  if (sessions.idleLifetime > sessions.lifetime) {
    source.refuse(
      'SESSION_IDLE_LIFETIME',
      `is ${sessions.idleLifetime}, longer than SESSION_LIFETIME (${sessions.lifetime})`,
      'Lower it, or raise SESSION_LIFETIME.',
    )
  }
  return sessions
}
