import { findApiKey, listApiKeys } from '../api-keys/index.js'
import type { ApiKey, UsedNetwork } from '../store/index.js'
import {
  type AdoptedKey,
  type AdoptedSecret,
  adoptionOf,
  adoptionOfSecrets,
  describeAdoptedSecret,
  describeAdoption,
  describeUsage,
  removableScopes,
  usageOf,
} from '../usage/index.js'
import { ownerOf, ownerOption } from './api-key-owner.js'
import { defineCommand, UsageError } from './command.js'
import { duration } from './duration.js'
import { pairs, table, timeText } from './output.js'

/** Seconds: no counts are kept for longer. */
const longest = 90 * 86_400

const usage = defineCommand({
  name: 'api-key usage',
  summary: 'Show how often an API key was used, for what and from where',
  description:
    'By the day, or with --hours by the hour, of UTC. Uses are in it after seconds; they are kept for 90 days.',
  words: ['ID'],
  options: {
    since: { type: 'string', value: 'DURATION', description: 'How far back. Default 7d.' },
    hours: { type: 'boolean', description: 'By the hour.' },
  },
  examples: ['ostiary api-key usage 0kq3GZb7yXw9TfLm --since 30d'],
  async run({ options: { since = '7d', hours = false }, words: [id = ''], context }) {
    const seconds = duration(since, 'since')
    if (seconds > longest || seconds === 0) throw new UsageError('--since is at most 90d, since no more is kept.')
    const ctx = await context()
    const key = await findApiKey(ctx, id)
    const from = new Date(ctx.clock.now().getTime() - seconds * 1000)
    const unit = hours ? 'hour' : 'day'
    const report = await usageOf(ctx, { kind: 'api_key', credential: key.id }, { since: from, unit })
    const [adoption] = await adoptionOf(ctx, [key])
    return {
      json: { id: key.id, ...describeUsage(report), adoption: adoption && describeAdoption(adoption) },
      text: (width) =>
        report.uses.length === 0
          ? `It was not used since ${timeText(from)}.\n`
          : table(
              report.uses,
              [
                {
                  title: unit === 'day' ? 'DAY' : 'HOUR',
                  value: ({ time }) => time.toISOString().slice(0, hours ? 16 : 10),
                },
                { title: 'API', value: ({ api }) => api, flexible: true },
                { title: 'OUTCOME', value: ({ outcome }) => outcome },
                { title: 'COUNT', value: ({ count }) => String(count) },
                { title: 'SCOPES', value: ({ scopes }) => scopesText(scopes), flexible: true },
              ],
              width,
            ) + networkTable(report.networks, width),
    }
  },
})

const status = defineCommand({
  name: 'api-key status',
  summary:
    'Show who is still on keys and client secrets that have a successor, which keys are exposed, and which scopes nobody uses',
  description:
    'A scope that was not used for 90 days, by a key or client that is older than that, can be removed. Clients are listed by ' +
    'what tokens were issued for.',
  options: { owner: ownerOption },
  examples: ['ostiary api-key status', 'ostiary api-key status --owner ann@example.com --json'],
  async run({ options, context }) {
    const ctx = await context()
    const owner = options.owner === undefined ? undefined : await ownerOf(ctx, options.owner)
    const keys = await listApiKeys(ctx, { owner, liveAt: ctx.clock.now() })
    const exposed = keys.filter(({ exposedAt }) => exposedAt !== undefined)
    const [adopted, secrets, { countedSince, removable }] = await Promise.all([
      adoptionOf(ctx, keys),
      // Users have none.
      owner?.kind === 'user' ? [] : adoptionOfSecrets(ctx, owner?.id),
      removableScopes(ctx, owner),
    ])
    return {
      json: {
        rotated: adopted.map(describeAdoption),
        rotated_secrets: secrets.map(describeAdoptedSecret),
        exposed: exposed.map(({ id, name, owner: whose, exposedAt }) => ({
          id,
          name,
          owner: whose,
          exposed_at: exposedAt,
        })),
        counted_since: countedSince,
        removable: removable.map(({ scope, ...each }) => ({ ...each, scope: scope.join(' ') })),
      },
      text: (width) =>
        [
          adoptionText(adopted, width),
          secretsText(secrets, width),
          exposedText(exposed, width),
          removable.length > 0
            ? `Granted and not used for 90 days:\n${table(
                removable,
                [
                  { title: 'OF', value: ({ kind }) => (kind === 'api_key' ? 'key' : 'client') },
                  { title: 'ID', value: ({ id }) => id },
                  { title: 'NAME', value: ({ name }) => name ?? '', flexible: true },
                  { title: 'SCOPE', value: ({ scope }) => scope.join(' '), flexible: true },
                ],
                width,
              )}`
            : `No scope is known to be unused: uses are counted since ${countedSince ? timeText(countedSince) : 'now'}.\n`,
        ].join('\n'),
    }
  },
})

export const apiKeyUsageCommands = [usage, status]

function scopesText(scopes: Readonly<Record<string, number>>): string {
  return Object.entries(scopes)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}

function networkTable(networks: readonly UsedNetwork[], width: number): string {
  if (networks.length === 0) return ''
  return `\n${table(
    networks,
    [
      { title: 'NETWORK', value: ({ network }) => network },
      { title: 'API', value: ({ api }) => api, flexible: true },
      { title: 'COUNT', value: ({ count }) => String(count) },
      { title: 'FIRST', value: ({ firstSeen }) => timeText(firstSeen) },
      { title: 'LAST', value: ({ lastSeen }) => timeText(lastSeen) },
    ],
    width,
  )}`
}

function adoptionText(adopted: readonly AdoptedKey[], width: number): string {
  if (adopted.length === 0) return 'No key has a successor and lives on.\n'
  return adopted
    .map(({ key, uses, lastUsedAt, callers, successorUses }) => {
      const about = pairs([
        ['key', `${key.id} (${key.name})`],
        ['owner', `${key.owner.kind} ${key.owner.id}`],
        ['rotated', timeText(key.rotatedAt)],
        ['ends', timeText(key.expiresAt)],
        ['uses since', String(uses)],
        ['last used', lastUsedAt && timeText(lastUsedAt)],
        ['successor', `${key.successor}, used ${successorUses} times`],
      ])
      return (
        about +
        (callers.length === 0 ? '  Nobody uses it any more.\n' : `  Still on it:${networkTable(callers, width)}`)
      )
    })
    .join('\n')
}

function secretsText(secrets: readonly AdoptedSecret[], width: number): string {
  if (secrets.length === 0) return 'No client secret has a successor and lives on.\n'
  return secrets
    .map(({ secret, uses, lastUsedAt, callers }) => {
      const about = pairs([
        ['client', `${secret.clientId} (${secret.name})`],
        ['secret rotated', timeText(secret.rotatedAt)],
        ['ends', timeText(secret.endsAt)],
        ['uses since', String(uses)],
        ['last used', lastUsedAt && timeText(lastUsedAt)],
        ['new one', secret.successorLastUsedAt ? `last used ${timeText(secret.successorLastUsedAt)}` : 'never used'],
      ])
      const stays = callers.length === 0 ? '' : `  Still on it:${networkTable(callers, width)}`
      return about + (lastUsedAt || uses > 0 ? stays : '  Nobody uses it any more.\n')
    })
    .join('\n')
}

function exposedText(exposed: readonly ApiKey[], width: number): string {
  if (exposed.length === 0) return 'No key is known to be exposed.\n'
  return `Exposed, and to be replaced:\n${table(
    exposed,
    [
      { title: 'ID', value: ({ id }) => id },
      { title: 'NAME', value: ({ name }) => name, flexible: true },
      { title: 'OWNER', value: ({ owner }) => owner.id, flexible: true },
      { title: 'EXPOSED', value: ({ exposedAt }) => timeText(exposedAt) },
    ],
    width,
  )}`
}
