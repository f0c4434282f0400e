import { type Static, Type } from '@sinclair/typebox'
import type { Source } from './variables.js'

const tierName = {
  pattern: '^[a-z0-9][a-z0-9._-]{0,63}$',
  shape: 'the name of a tier: a-z, 0-9, ".", "_" and "-", at most 64 of them',
}

export const limitsVariables = Type.Object({
  failuresPerAccount: Type.Integer({
    default: 10,
    minimum: 1,
    maximum: 1000,
    weakerAbove: 100,
    weakness: 'passwords can be guessed faster.',
    description:
      'Failed logins of one account from one network (/24, /64) in FAILURE_WINDOW before the next is answered 429. Stops guessing.',
  }),
  failuresPerAccountAnywhere: Type.Integer({
    default: 100,
    minimum: 1,
    maximum: 100_000,
    weakerAbove: 1000,
    weakness: 'a botnet can guess the passwords of one account faster.',
    description:
      'Failed logins of one account from all networks in FAILURE_WINDOW before 429 for browsers that never signed in to it. Stops a botnet.',
  }),
  failuresPerClient: Type.Integer({
    default: 10,
    minimum: 1,
    maximum: 1000,
    weakerAbove: 100,
    weakness: 'client secrets can be guessed faster.',
    description:
      'Failed authentications of one client from one network (/24, /64) in FAILURE_WINDOW before 429. Stops guessing.',
  }),
  failuresPerNetwork: Type.Integer({
    default: 100,
    minimum: 1,
    maximum: 100_000,
    weakerAbove: 1000,
    weakness: 'one network can try one password on many accounts.',
    description:
      'Failures of all accounts and clients from one network (/24, /64) in FAILURE_WINDOW before 429. Stops password spraying.',
  }),
  failuresPerSite: Type.Integer({
    default: 1000,
    minimum: 1,
    maximum: 1_000_000,
    weakerAbove: 10_000,
    weakness: 'whoever holds an IPv6 /48 can try one password on many accounts from its 65,536 networks.',
    description:
      'Failures of all accounts and clients from one IPv6 /48 in FAILURE_WINDOW before 429. One holds 65,536 /64 with a bound of their own each.',
  }),
  interactionsPerNetwork: Type.Integer({
    default: 5000,
    minimum: 10,
    maximum: 10_000_000,
    weakerAbove: 100_000,
    weakness: 'one network can fill the database by asking for logins.',
    description:
      'Logins that one network (/24, /64) may begin in ten minutes before 429, by process, and an IPv6 /48 ten times as many. Each writes a row that is kept for a day.',
  }),
  failureWindow: Type.Integer({
    default: 600,
    minimum: 60,
    maximum: 21_600,
    description: 'Seconds in which failures are counted. After it a network that was refused may try again.',
  }),
  passwordQueue: Type.Integer({
    default: 64,
    minimum: 1,
    maximum: 10_000,
    description:
      'Passwords that may wait to be hashed, per process; beyond, logins are answered 503. Bounds memory under attack.',
  }),
  rateTierNetwork: Type.Optional(
    Type.String({
      ...tierName,
      description:
        'Tier that bounds the requests of one network (/24, /64), whoever sends them, beyond which they are 429: at /token, /introspect, /revoke, /userinfo, /register, /api-keys and all pages that people see, together. Without it they have no limit.',
    }),
  ),
  rateTierAddress: Type.Optional(
    Type.String({
      ...tierName,
      description:
        'Tier that bounds the requests of one address at the same endpoints; an IPv6 address counts as its /64.',
    }),
  ),
  rateTierUser: Type.Optional(
    Type.String({
      ...tierName,
      description:
        'Tier that bounds how often one user gets tokens at /token, over all clients: by codes, refreshes and exchanges of API keys. Without it they have no limit.',
    }),
  ),
  redisUrl: Type.Optional(
    Type.String({
      secret: true,
      description:
        'Redis or Valkey that rate limits are shared by, as redis://user:password@host:6379, rediss:// with TLS. Without it they are in the database.',
    }),
  ),
  revocationStreams: Type.Integer({
    default: 1000,
    minimum: 1,
    maximum: 100_000,
    description:
      'Streams of the revocation feed that one client may have open, per process; beyond, 503. One for each instance of its API.',
  }),
})

export type LimitsConfig = Static<typeof limitsVariables>

/** The value may hold a password, so no message repeats any of it. */
export function checkLimits(limits: LimitsConfig, source: Source): LimitsConfig {
  const { redisUrl } = limits
  if (redisUrl !== undefined && !/^rediss?:$/.test(URL.canParse(redisUrl) ? new URL(redisUrl).protocol : '')) {
    source.refuse(
      'REDIS_URL',
      'is not the address of a Redis server',
      'Write it as redis://user:password@host:6379, with special characters of the password percent-encoded.',
    )
  }
  return limits
}
