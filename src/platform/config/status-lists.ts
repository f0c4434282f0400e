import { type Static, Type } from '@sinclair/typebox'

export const statusListsVariables = Type.Object({
  enabled: Type.Union([Type.Literal('on'), Type.Literal('off')], {
    variable: 'STATUS_LISTS',
    default: 'on',
    description:
      'Whether JWT access tokens say their place in a Token Status List, by which anybody can see that one was revoked.',
  }),
  ttl: Type.Integer({
    variable: 'STATUS_LIST_TTL',
    default: 60,
    minimum: 5,
    maximum: 900,
    weakerAbove: 300,
    weakness: 'a verifier of status lists accepts a revoked token twice that long.',
    description:
      'Seconds a status list may be kept before it is asked for again. Each process makes a list at most once in that time.',
  }),
})

export type StatusListsConfig = Static<typeof statusListsVariables>
