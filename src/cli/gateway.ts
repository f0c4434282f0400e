import { defaultSecretOverlap, rotateSecret } from '../clients/index.js'
import {
  acceptedCredentials,
  createGateway,
  deleteGateway,
  describeGateway,
  findGateway,
  type Gateway,
  type GatewaySettings,
  listGateways,
  longestTokenLifetime,
  updateGateway,
} from '../gateways/index.js'
import { parseScope } from '../oauth/index.js'
import { atMostOne, defineCommand, type OptionSpecs, type OptionValues, UsageError, wholeNumber } from './command.js'
import { operator } from './operator.js'
import { pairs, table, timeText } from './output.js'

const settingOptions = {
  accept: {
    type: 'string',
    value: 'KIND',
    multiple: true,
    description: `What callers may show: ${acceptedCredentials.join(', ')}. Default: access-token and api-key.`,
  },
  'token-lifetime': {
    type: 'string',
    value: 'SECONDS',
    description: `Of the token that is passed on, 1 to ${longestTokenLifetime}. Default ${longestTokenLifetime}.`,
  },
  'forwards-address': {
    type: 'boolean',
    description: 'It says the address of its caller: by for= behind its credential, or in X-Forwarded-For.',
  },
} as const satisfies OptionSpecs

const audience = {
  type: 'string',
  value: 'IDENTIFIER',
  description: 'The API behind it: what tokens are for.',
} as const
const scope = { type: 'string', value: '"A B"', description: 'What every request must be permitted.' } as const

const create = defineCommand({
  name: 'gateway create',
  summary: 'Register a gateway in front of an API',
  description:
    'Prints the client_id and client_secret by which the gateway identifies itself at /forward-auth/NAME. The secret is ' +
    'printed this once.',
  words: ['NAME'],
  options: {
    audience: { ...audience, required: true },
    scope: { ...scope, required: true },
    ...settingOptions,
  },
  examples: [
    'ostiary gateway create orders --audience https://orders.example --scope orders:read --forwards-address',
    'ostiary gateway create legacy --audience https://orders.example --scope orders:read --accept api-key --accept basic --forwards-address',
  ],
  async run({ options, words: [name = ''], context }) {
    const ctx = await context()
    const { gateway, clientSecret } = await createGateway(ctx, name, readSettings(options), operator)
    return {
      json: { ...describeGateway(gateway), client_secret: clientSecret },
      warnings: warningsOf(gateway),
      text: () =>
        'Registered the gateway. It identifies itself by:\n' +
        pairs([
          ['client_id', gateway.clientId],
          ['client_secret', clientSecret],
        ]) +
        `Keep the secret now: it is not shown again.\n\n${gatewayText(gateway)}`,
    }
  },
})

const list = defineCommand({
  name: 'gateway list',
  summary: 'List all gateways',
  examples: ['ostiary gateway list', 'ostiary gateway list --json'],
  async run({ context }) {
    const all = await listGateways(await context())
    return {
      json: all.map(describeGateway),
      text: (width) =>
        all.length === 0
          ? 'There is no gateway yet. `ostiary gateway create` registers one.\n'
          : table(
              all,
              [
                { title: 'NAME', value: ({ name }) => name },
                { title: 'AUDIENCE', value: ({ resource }) => resource, flexible: true },
                { title: 'SCOPE', value: ({ scope }) => scope.join(' '), flexible: true },
                { title: 'ACCEPTS', value: ({ accept }) => accept.join(' ') },
                { title: 'CLIENT ID', value: ({ clientId }) => clientId },
              ],
              width,
            ),
    }
  },
})

const show = defineCommand({
  name: 'gateway show',
  summary: 'Show a gateway and what it requires',
  words: ['NAME'],
  examples: ['ostiary gateway show orders'],
  async run({ words: [name = ''], context }) {
    const gateway = await findGateway(await context(), name)
    return { json: describeGateway(gateway), text: () => gatewayText(gateway) }
  },
})

const update = defineCommand({
  name: 'gateway update',
  summary: 'Change what a gateway requires',
  description: 'What is given replaces what was, from the next request on; everything else stays.',
  words: ['NAME'],
  options: {
    audience,
    scope,
    ...settingOptions,
    'no-forwards-address': { type: 'boolean', description: 'It does not say whom it got a request from.' },
  },
  examples: ['ostiary gateway update orders --scope "orders:read orders:write" --token-lifetime 30'],
  async run({ options, words: [name = ''], context }) {
    const { 'no-forwards-address': hides, ...values } = options
    atMostOne(options, ['forwards-address', 'no-forwards-address'])
    if (Object.keys(options).length === 0) throw new UsageError('Nothing to change is given.')
    const ctx = await context()
    const settings = { ...readSettings(values), ...(hides ? { forwardsAddress: false } : {}) }
    const gateway = await updateGateway(ctx, name, settings, operator)
    return {
      json: describeGateway(gateway),
      warnings: warningsOf(gateway),
      text: () => `Updated the gateway.\n${gatewayText(gateway)}`,
    }
  },
})

const rotate = defineCommand({
  name: 'gateway rotate-secret',
  summary: 'Make a new secret for a gateway',
  description:
    'The old secret stays valid for a day, or for the overlap that is given, so that the new one can be brought out. The ' +
    'new secret is printed this once.',
  words: ['NAME'],
  options: {
    overlap: {
      type: 'string',
      value: 'SECONDS',
      description: `How long the old one stays. Default ${defaultSecretOverlap}.`,
    },
    now: { type: 'boolean', description: 'The old one ends at once: it may be in wrong hands.' },
  },
  examples: ['ostiary gateway rotate-secret orders', 'ostiary gateway rotate-secret orders --now'],
  async run({ options, words: [name = ''], context }) {
    atMostOne(options, ['overlap', 'now'])
    const given = options.overlap === undefined ? defaultSecretOverlap : wholeNumber(options.overlap, 'overlap')
    const overlap = options.now ? 0 : given
    const ctx = await context()
    const { clientId } = await findGateway(ctx, name)
    const { clientSecret } = await rotateSecret(ctx, clientId, { overlap, by: operator })
    return {
      json: { name, client_id: clientId, client_secret: clientSecret, overlap },
      text: () =>
        pairs([
          ['client_id', clientId],
          ['client_secret', clientSecret],
        ]) +
        `Keep the secret now: it is not shown again. ${overlap === 0 ? 'The one before has ended' : `The one before stays valid for ${overlap} s`}.\n`,
    }
  },
})

const remove = defineCommand({
  name: 'gateway delete',
  summary: 'Delete a gateway and its client',
  description: 'Acts at once: whatever it asks is refused.',
  words: ['NAME'],
  examples: ['ostiary gateway delete orders'],
  async run({ words: [name = ''], context }) {
    const { clientId } = await deleteGateway(await context(), name, operator)
    return {
      json: { name, deleted: true, client_id: clientId },
      text: () => `Deleted the gateway ${name}, and its client ${clientId}.\n`,
    }
  },
})

export const gatewayCommands = [create, list, show, update, rotate, remove]

type Given = OptionValues<typeof settingOptions> & { readonly audience?: string; readonly scope?: string }

function readSettings(given: Given): GatewaySettings {
  const lifetime = given['token-lifetime']
  return {
    resource: given.audience,
    scope: given.scope === undefined ? undefined : parseScope(given.scope.trim()),
    accept: given.accept,
    tokenLifetime:
      lifetime === undefined ? undefined : wholeNumber(lifetime, 'token-lifetime', 1, longestTokenLifetime),
    forwardsAddress: given['forwards-address'],
  }
}

function warningsOf({ accept, forwardsAddress }: Gateway): readonly string[] {
  if (forwardsAddress) return []
  return [
    'It does not say the addresses of its callers, so keys that are bound to networks are refused.' +
      (accept.includes('basic')
        ? ' And all failed attempts at passwords count as from one place: whoever guesses keeps others out.'
        : ''),
  ]
}

function gatewayText(gateway: Gateway): string {
  return pairs([
    ['name', gateway.name],
    ['audience', gateway.resource],
    ['scope', gateway.scope.join(' ')],
    ['accepts', gateway.accept.join(' ')],
    ['token lifetime', `${gateway.tokenLifetime} s`],
    ['forwards address', gateway.forwardsAddress ? 'yes' : 'no'],
    ['client_id', gateway.clientId],
    ['created', timeText(gateway.createdAt)],
  ])
}
