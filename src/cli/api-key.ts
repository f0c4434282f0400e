import {
  createApiKey,
  defaultOverlap,
  describeApiKey,
  findApiKey,
  listApiKeys,
  rotateApiKey,
  stateOf,
} from '../api-keys/index.js'
import { parseScope } from '../oauth/index.js'
import type { ApiKey } from '../store/index.js'
import { ownerOf, ownerOption } from './api-key-owner.js'
import { ifUnseen, keepKey, revoke } from './api-key-revoke.js'
import { defineCommand, UsageError } from './command.js'
import { duration } from './duration.js'
import { readJsonObject } from './input.js'
import { operator } from './operator.js'
import { pairs, table, timeText } from './output.js'

const create = defineCommand({
  name: 'api-key create',
  summary: 'Make an API key',
  description: 'It is printed this once. What it may do is what its owner may do, and no more than its scope.',
  options: {
    owner: { ...ownerOption, required: true, description: 'Whose key it is: a user, or a client.' },
    name: { type: 'string', value: 'TEXT', required: true, description: 'What it is for, in a few words.' },
    description: { type: 'string', value: 'TEXT', description: 'More about it.' },
    scope: { type: 'string', value: '"A B"', required: true, description: 'What it may do.' },
    resource: {
      type: 'string',
      value: 'IDENTIFIER',
      multiple: true,
      description: 'The API that it is for. Default: the one that has the scopes.',
    },
    expires: {
      type: 'string',
      value: 'DURATION|never',
      description: 'How long it lives, such as 30d. Default: API_KEY_LIFETIME.',
    },
    environment: { type: 'string', value: 'WORD', description: 'Stands in the key. Default live.' },
    prefix: {
      type: 'string',
      value: 'WORD',
      description: 'Stands first in the key. Default sk, pk or sig, by its kind.',
    },
    allow: {
      type: 'string',
      value: 'CIDR',
      multiple: true,
      description: 'A network that it may be used from. Default: any.',
    },
    publishable: { type: 'boolean', description: 'It stands in pages, so it may only read.' },
    origin: {
      type: 'string',
      value: 'ORIGIN',
      multiple: true,
      description: 'Of the pages that a publishable key stands in.',
    },
    'public-key': {
      type: 'string',
      value: 'FILE|-',
      description: 'An Ed25519 public key as a JWK: requests are signed, and no secret is made.',
    },
    tier: { type: 'string', value: 'NAME', description: 'How much it may be used: a tier of `tier create`.' },
  },
  examples: [
    'ostiary api-key create --owner ann@example.com --name "Nightly report" --scope orders:read',
    'ostiary api-key create --owner shop --name Import --scope "orders:read orders:write" --allow 192.0.2.0/24 --expires 30d',
    'ostiary api-key create --owner shop --name Widget --publishable --origin https://shop.example --scope orders:read',
  ],
  async run({ io, options, context }) {
    const { owner: who = '', name = '', scope = '', expires, publishable = false } = options
    const path = options['public-key']
    if (publishable && path !== undefined) throw new UsageError('A publishable key is not a signing key.')
    const lifetime = expires === undefined || expires === 'never' ? expires : duration(expires, 'expires')
    const publicJwk = path === undefined ? undefined : await readJsonObject(io, path, 'public-key')
    const ctx = await context()
    const owner = await ownerOf(ctx, who)
    const request = {
      owner,
      name,
      description: options.description,
      kind: publicJwk ? 'signing' : publishable ? 'publishable' : 'secret',
      prefix: options.prefix,
      environment: options.environment,
      scope: parseScope(scope.trim()),
      resources: options.resource,
      networks: options.allow,
      origins: options.origin,
      tier: options.tier,
      lifetime,
      publicJwk,
    } as const
    const { key, text } = await createApiKey(ctx, request, operator)
    return {
      json: { ...describeApiKey(ctx, key), key: text },
      warnings: key.expiresAt ? [] : ['It never expires: rotate it before somebody else has it.'],
      ifUnseen: ifUnseen([key]),
      text: () => `Made the API key.\n${pairs([...fields(key), ['key', text]])}${text ? keepKey : ''}`,
    }
  },
})

const list = defineCommand({
  name: 'api-key list',
  summary: 'List API keys',
  options: {
    owner: ownerOption,
    prefix: { type: 'string', value: 'WORD', description: 'Of this prefix alone.' },
    all: { type: 'boolean', description: 'Also those that have ended or expired.' },
  },
  examples: ['ostiary api-key list', 'ostiary api-key list --owner ann@example.com --all --json'],
  async run({ options, context }) {
    const ctx = await context()
    const now = ctx.clock.now()
    const owner = options.owner === undefined ? undefined : await ownerOf(ctx, options.owner)
    const liveAt = options.all ? undefined : now
    const keys = await listApiKeys(ctx, { owner, prefix: options.prefix, liveAt })
    return {
      json: keys.map((key) => describeApiKey(ctx, key)),
      text: (width) => (keys.length === 0 ? 'There is no such API key.\n' : keyTable(keys, now, width)),
    }
  },
})

const show = defineCommand({
  name: 'api-key show',
  summary: 'Show an API key: whose it is, what it may do, when it was last used',
  words: ['ID'],
  examples: ['ostiary api-key show 0kq3GZb7yXw9TfLm'],
  async run({ words: [id = ''], context }) {
    const ctx = await context()
    const key = await findApiKey(ctx, id)
    const described = describeApiKey(ctx, key)
    return {
      json: described,
      text: () =>
        pairs([
          ...fields(key),
          ['state', String(described['state'])],
          ['successor', key.successor],
          ['exposed', key.exposedAt && `${timeText(key.exposedAt)}: replace it`],
          ['ended', key.endedAt && `${timeText(key.endedAt)} (${key.endReason})`],
          [
            'last used',
            key.lastUsedAt && `${timeText(key.lastUsedAt)}${key.lastUsedFrom ? ` from ${key.lastUsedFrom}` : ''}`,
          ],
        ]),
    }
  },
})

const rotate = defineCommand({
  name: 'api-key rotate',
  summary: 'Give an API key a successor',
  description:
    'The old key stays good for the overlap, and ends by itself. Who still uses it is told by Deprecation and Sunset headers. ' +
    'The new key is printed this once. A signing key needs the public key of a new key pair: whoever has the private half of ' +
    'the old one must not have that of its successor.',
  words: ['ID'],
  options: {
    overlap: {
      type: 'string',
      value: 'DURATION',
      description: `How long the old one stays. Default ${defaultOverlap / 86_400}d.`,
    },
    'public-key': {
      type: 'string',
      value: 'FILE|-',
      description: 'Of a signing key: the Ed25519 public key of a new key pair, as a JWK.',
    },
  },
  examples: [
    'ostiary api-key rotate 0kq3GZb7yXw9TfLm --overlap 7d',
    'ostiary api-key rotate 3hVx0PqT9aLrK2mS --public-key new-public.jwk',
  ],
  async run({ io, options: { overlap, 'public-key': path }, words: [id = ''], context }) {
    const seconds = overlap === undefined ? undefined : duration(overlap, 'overlap')
    const publicJwk = path === undefined ? undefined : await readJsonObject(io, path, 'public-key')
    const ctx = await context()
    if (!publicJwk && (await findApiKey(ctx, id)).kind === 'signing') throw new UsageError(keyPairMissing)
    const { key, text, previous } = await rotateApiKey(ctx, id, { overlap: seconds, publicJwk, by: operator })
    return {
      json: { ...describeApiKey(ctx, key), key: text, previous: describeApiKey(ctx, previous) },
      ifUnseen: ifUnseen([key]),
      text: () =>
        `${pairs([...fields(key), ['key', text]])}The key before, ${id}, is good until ${timeText(previous.expiresAt)}.\n${text ? keepKey : ''}`,
    }
  },
})

const keyPairMissing =
  'A signing key is rotated to another key pair: give the public key of a new one, by --public-key FILE.'

export const apiKeyCommands = [create, list, show, rotate, revoke]

function keyTable(keys: readonly ApiKey[], now: Date, width: number): string {
  return table(
    keys,
    [
      { title: 'ID', value: ({ id }) => id },
      { title: 'NAME', value: ({ name }) => name, flexible: true },
      { title: 'OWNER', value: ({ owner }) => owner.id, flexible: true },
      { title: 'SCOPE', value: ({ scope }) => scope.join(' '), flexible: true },
      { title: 'STATE', value: (key) => `${stateOf(key, now)}${key.exposedAt ? ', exposed' : ''}` },
      { title: 'EXPIRES', value: ({ expiresAt }) => (expiresAt ? timeText(expiresAt) : 'never') },
      { title: 'LAST USED', value: ({ lastUsedAt }) => timeText(lastUsedAt) },
    ],
    width,
  )
}

function fields(key: ApiKey): readonly (readonly [string, string | undefined])[] {
  return [
    ['id', key.id],
    ['name', key.name],
    ['description', key.description],
    ['kind', key.kind],
    ['owner', `${key.owner.kind} ${key.owner.id}`],
    ['environment', key.environment],
    ['scope', key.scope.join(' ')],
    ['resources', key.resources.join(' ')],
    ['networks', key.networks.join(' ')],
    ['origins', key.origins.join(' ')],
    ['tier', key.tier],
    ['managed', key.managed ? 'yes: administrators alone make it wider' : undefined],
    ['created', timeText(key.createdAt)],
    ['made through', key.createdByClient],
    ['expires', key.expiresAt ? timeText(key.expiresAt) : 'never'],
  ]
}
