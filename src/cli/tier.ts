import {
  createTier,
  deleteTier,
  describeTier,
  findTier,
  listTiers,
  type TierPolicy,
  updateTier,
} from '../limits/index.js'
import type { Tier } from '../store/index.js'
import { defineCommand, type OptionSpecs, type OptionValues, UsageError, wholeNumber } from './command.js'
import { duration, durationText } from './duration.js'
import { operator } from './operator.js'
import { pairs, table, timeText } from './output.js'

const numberOptions = {
  limit: { type: 'string', value: 'REQUESTS', description: 'How many requests in a window.' },
  window: { type: 'string', value: 'SECONDS', description: 'The window.' },
  burst: { type: 'string', value: 'REQUESTS', description: 'How many may come at once. Default: the limit.' },
  'rotate-every': {
    type: 'string',
    value: 'DURATION|never|default',
    description: 'When keys and client secrets of this tier are to be rotated, such as 30d. Default: ROTATE_EVERY.',
  },
} as const satisfies OptionSpecs

const create = defineCommand({
  name: 'tier create',
  summary: 'Create a tier: a named limit on requests',
  description:
    'So many requests in a window come back evenly; a burst of them may come at once. `client create --rate-tier` gives it ' +
    'to a client, `api-key create --tier` to a key, and an API names it for its own requests. In any window at most the limit and the burst are accepted.',
  words: ['NAME'],
  options: {
    ...numberOptions,
    limit: { ...numberOptions.limit, required: true },
    window: { ...numberOptions.window, required: true },
  },
  examples: ['ostiary tier create standard --limit 600 --window 60 --burst 100 --rotate-every 30d'],
  async run({ options, words: [name = ''], context }) {
    const numbers = readNumbers(options)
    const ctx = await context()
    const tier = await createTier(ctx, name, { limit: 0, window: 0, ...numbers }, operator)
    return { json: describeTier(tier), text: () => `Created the tier ${name}: ${inWords(tier)}.\n` }
  },
})

const list = defineCommand({
  name: 'tier list',
  summary: 'List all tiers',
  examples: ['ostiary tier list'],
  async run({ context }) {
    const all = await listTiers(await context())
    return {
      json: all.map(describeTier),
      text: (width) =>
        all.length === 0
          ? 'There is no tier yet. `ostiary tier create` makes one.\n'
          : table(
              all,
              [
                { title: 'TIER', value: ({ name }) => name },
                { title: 'LIMIT', value: ({ limit }) => String(limit) },
                { title: 'WINDOW', value: ({ window }) => `${window} s` },
                { title: 'BURST', value: ({ burst }) => String(burst) },
                { title: 'ROTATE EVERY', value: rotationText },
              ],
              width,
            ),
    }
  },
})

const show = defineCommand({
  name: 'tier show',
  summary: 'Show a tier and how many clients and API keys have it',
  words: ['NAME'],
  examples: ['ostiary tier show standard'],
  async run({ words: [name = ''], context }) {
    const { tier, clients, apiKeys } = await findTier(await context(), name)
    return {
      json: { ...describeTier(tier), clients, api_keys: apiKeys },
      text: () =>
        pairs([
          ['tier', tier.name],
          ['limit', `${tier.limit} requests`],
          ['window', `${tier.window} s`],
          ['burst', `${tier.burst} requests`],
          ['rotate every', rotationText(tier)],
          ['clients', String(clients)],
          ['API keys', String(apiKeys)],
          ['created', timeText(tier.createdAt)],
          ['updated', timeText(tier.updatedAt)],
        ]),
    }
  },
})

const update = defineCommand({
  name: 'tier update',
  summary: 'Change a tier',
  description: 'It holds at once for all that have it. What is not given stays, the burst too.',
  words: ['NAME'],
  options: { ...numberOptions, burst: { ...numberOptions.burst, description: 'How many may come at once.' } },
  examples: ['ostiary tier update standard --limit 1200', 'ostiary tier update standard --burst 50'],
  async run({ options, words: [name = ''], context }) {
    const numbers = readNumbers(options)
    if (Object.keys(numbers).length === 0) throw new UsageError('Nothing to change is given.')
    const tier = await updateTier(await context(), name, numbers, operator)
    return { json: describeTier(tier), text: () => `Updated the tier ${name}: ${inWords(tier)}.\n` }
  },
})

const remove = defineCommand({
  name: 'tier delete',
  summary: 'Delete a tier that no client and no API key has',
  description: 'An API that names it is without that limit from then on, and warns.',
  words: ['NAME'],
  examples: ['ostiary tier delete standard'],
  async run({ words: [name = ''], context }) {
    await deleteTier(await context(), name, operator)
    return { json: { name, deleted: true }, text: () => `Deleted the tier ${name}.\n` }
  },
})

export const tierCommands = [create, list, show, update, remove]

function readNumbers(
  options: OptionValues<typeof numberOptions>,
): Partial<Pick<Tier, 'limit' | 'window' | 'burst'>> & TierPolicy {
  const given = (['limit', 'window', 'burst'] as const).flatMap((name) => {
    const text = options[name]
    return text === undefined ? [] : [[name, wholeNumber(text, name, 1)] as const]
  })
  const every = options['rotate-every']
  const isWord = every === undefined || every === 'never' || every === 'default'
  const rotateEvery = isWord ? every : duration(every, 'rotate-every')
  return { ...Object.fromEntries(given), ...(rotateEvery === undefined ? {} : { rotateEvery }) }
}

function rotationText({ rotateEvery }: Tier): string {
  if (rotateEvery === undefined) return 'default'
  return rotateEvery === 0 ? 'never' : durationText(rotateEvery)
}

function inWords({ limit, window, burst }: Tier): string {
  return `${limit} requests in ${window} s, at most ${burst} at once`
}
