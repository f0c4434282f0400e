import { type Static, Type } from '@sinclair/typebox'

const DAY = 86_400

export const apiKeysVariables = Type.Object({
  lifetime: Type.Integer({
    variable: 'API_KEY_LIFETIME',
    default: 90 * DAY,
    minimum: 60,
    maximum: 3650 * DAY,
    weakerAbove: 366 * DAY,
    weakness: 'a key that leaked, and that nobody misses, stays good that long.',
    description:
      'Seconds an API key is valid where whoever makes it says nothing else. A forgotten key ends by itself.',
  }),
  perOwner: Type.Integer({
    variable: 'API_KEYS_PER_OWNER',
    default: 1_000,
    minimum: 1,
    maximum: 100_000,
    description: 'API keys of one user or client that are good at once. More are refused: nobody fills the database.',
  }),
})

export type ApiKeysConfig = Static<typeof apiKeysVariables>
