import {
  defaultSecretOverlap,
  deleteClient,
  describeClient,
  describeSelfRegistration,
  disableClient,
  enableClient,
  findClient,
  isPublicClient,
  listClients,
  type RegisteredClient,
  type RegistrationOptions,
  registerClient,
  rotateSecret,
  toRegistration,
  updateClient,
} from '../clients/index.js'
import type { Context } from '../context.js'
import { wellKnownScopes } from '../oauth/index.js'
import { checkNewSector } from '../protocol/registration/index.js'
import { grantTypes } from '../protocol/token/index.js'
import type { StoredClient } from '../store/index.js'
import { fieldName, metadataOptions, readMetadata } from './client-metadata.js'
import { type Answer, atMostOne, defineCommand, UsageError, wholeNumber } from './command.js'
import { readSecretLine } from './input.js'
import { operator } from './operator.js'
import { pairs, table, timeText } from './output.js'

const registration: RegistrationOptions = {
  by: operator,
  grantTypes: grantTypes.map(({ name }) => name),
  check: checkNewSector,
}

const create = defineCommand({
  name: 'client create',
  summary: 'Register a client',
  description:
    'The metadata comes from a JSON document in the names of RFC 7591, from options, or from both. A client_id and a ' +
    'client_secret that are brought along are kept; else they are made. The secret is printed this once.',
  options: {
    ...metadataOptions,
    id: { type: 'string', value: 'CLIENT_ID', description: 'Its client_id, where one is brought along.' },
    'secret-stdin': { type: 'boolean', description: 'Reads the client_secret to bring along from standard input.' },
    'weak-secret': { type: 'boolean', description: 'Accepts a secret of fewer than 32 characters.' },
  },
  examples: [
    'ostiary client create --name Shop --redirect-uri https://shop.example.com/callback --scope "openid read"',
    'ostiary client create --name Reports --grant-type client_credentials --scope "read"',
    'ostiary client create --name "Shop app" --native --redirect-uri com.example.shop:/callback --grant-type authorization_code --grant-type refresh_token',
    'ostiary client create --from-json client.json --json',
  ],
  async run({ io, options, context }) {
    const { id, 'secret-stdin': secretStdin, 'weak-secret': allowWeakSecret = false, ...values } = options
    if (secretStdin && values['from-json'] === '-') {
      throw new UsageError(
        '--secret-stdin and --from-json - both read standard input: put client_secret into the JSON.',
      )
    }
    const metadata = await readMetadata(io, values)
    if (id !== undefined) metadata.client_id = id
    if (secretStdin) metadata.client_secret = await readSecretLine(io, 'the client secret')
    const ctx = await context()
    const registered = await registerClient(ctx, metadata, { ...registration, allowWeakSecret })
    return registeredAnswer(ctx, 'Registered the client.', registered)
  },
})

const update = defineCommand({
  name: 'client update',
  summary: 'Change the metadata of a client',
  description:
    'What is given replaces what was; everything else stays. The secret is changed by `client rotate-secret`.',
  words: ['CLIENT_ID'],
  options: {
    ...metadataOptions,
    unset: {
      type: 'string',
      value: 'FIELD',
      multiple: true,
      description: 'Takes a field back to its default, as logo_uri.',
    },
  },
  examples: [
    'ostiary client update shop --redirect-uri https://shop.example.com/callback --redirect-uri https://shop.example.org/callback',
    'ostiary client update shop --scope "openid read write" --unset default_scope',
    'ostiary client update reports --allow 192.0.2.0/24 --allow 2001:db8:0:1::/64',
  ],
  async run({ io, options, words: [clientId = ''], context }) {
    const { unset = [], ...values } = options
    const patch = await readMetadata(io, values)
    for (const field of unset) patch[fieldName(field)] = null
    if (Object.keys(patch).length === 0) throw new UsageError('Nothing to change is given.')
    const ctx = await context()
    return registeredAnswer(ctx, 'Updated the client.', await updateClient(ctx, clientId, patch, registration))
  },
})

const list = defineCommand({
  name: 'client list',
  summary: 'List all clients',
  examples: ['ostiary client list', 'ostiary client list --json'],
  async run({ context }) {
    const all = await listClients(await context())
    return {
      json: all.map((client) => ({
        ...toRegistration(client),
        disabled_at: client.disabledAt?.toISOString(),
        last_used_at: client.lastUsedAt?.toISOString(),
        ...describeSelfRegistration(client),
      })),
      text: (width) =>
        all.length === 0
          ? 'There is no client yet. `ostiary client create` registers one.\n'
          : table(
              all,
              [
                { title: 'CLIENT ID', value: ({ clientId }) => clientId },
                { title: 'NAME', value: ({ clientName }) => clientName ?? '', flexible: true },
                { title: 'KIND', value: (client) => (isPublicClient(client) ? 'public' : 'confidential') },
                { title: 'GRANT TYPES', value: (client) => client.grantTypes.join(' '), flexible: true },
                { title: 'SCOPE', value: ({ scope }) => scope.join(' '), flexible: true },
                { title: 'STATE', value: ({ disabledAt }) => (disabledAt ? 'disabled' : 'enabled') },
                ...(all.some(({ selfRegistered }) => selfRegistered)
                  ? [{ title: 'BY ITSELF', value: byItselfText, flexible: true }]
                  : []),
                { title: 'LAST USED', value: ({ lastUsedAt }) => timeText(lastUsedAt) },
              ],
              width,
            ),
    }
  },
})

const show = defineCommand({
  name: 'client show',
  summary: 'Show a client, its state and when its secrets were last used',
  words: ['CLIENT_ID'],
  examples: ['ostiary client show shop', 'ostiary client show shop --json'],
  async run({ words: [clientId = ''], context }) {
    const ctx = await context()
    return describedAnswer(ctx, clientId)
  },
})

const disable = defineCommand({
  name: 'client disable',
  summary: 'End all that a client has, and issue it nothing more until it is enabled',
  words: ['CLIENT_ID'],
  examples: ['ostiary client disable shop'],
  async run({ words: [clientId = ''], context }) {
    const ctx = await context()
    const done = await disableClient(ctx, clientId, operator)
    return {
      json: { client_id: clientId, disabled: true, changed: done },
      text: () =>
        done
          ? `Disabled the client ${clientId}. All its tokens and grants ended, and it gets no new ones.\n`
          : `The client ${clientId} was disabled already.\n`,
    }
  },
})

const enable = defineCommand({
  name: 'client enable',
  summary: 'Let a disabled client work again',
  words: ['CLIENT_ID'],
  examples: ['ostiary client enable shop'],
  async run({ words: [clientId = ''], context }) {
    const ctx = await context()
    const done = await enableClient(ctx, clientId, operator)
    return {
      json: { client_id: clientId, disabled: false, changed: done },
      text: () =>
        done
          ? `Enabled the client ${clientId}. What it had before stays ended.\n`
          : `The client ${clientId} was not disabled.\n`,
    }
  },
})

const remove = defineCommand({
  name: 'client delete',
  summary: 'Delete a client and end all that it has',
  description: 'Acts at once. What users decided about the client is forgotten too.',
  words: ['CLIENT_ID'],
  examples: ['ostiary client delete shop'],
  async run({ words: [clientId = ''], context }) {
    const ctx = await context()
    await deleteClient(ctx, clientId, operator)
    return {
      json: { client_id: clientId, deleted: true },
      text: () => `Deleted the client ${clientId}. Its secrets, roles, consents, grants and tokens ended.\n`,
    }
  },
})

const rotate = defineCommand({
  name: 'client rotate-secret',
  summary: 'Make a new secret for a client',
  description:
    'The old secret stays valid for a day, or for the overlap that is given, so that the new one can be brought out; ' +
    'of an even older one nothing is left. The new secret is printed this once.',
  words: ['CLIENT_ID'],
  options: {
    overlap: {
      type: 'string',
      value: 'SECONDS',
      description: `How long the old one stays. Default ${defaultSecretOverlap}.`,
    },
    now: { type: 'boolean', description: 'The old one ends at once: it may be in wrong hands.' },
  },
  examples: ['ostiary client rotate-secret shop', 'ostiary client rotate-secret shop --now'],
  async run({ options, words: [clientId = ''], context }) {
    atMostOne(options, ['overlap', 'now'])
    const overlap = options.now
      ? 0
      : options.overlap === undefined
        ? undefined
        : wholeNumber(options.overlap, 'overlap')
    const ctx = await context()
    const rotated = await rotateSecret(ctx, clientId, { overlap, by: operator })
    const old = rotated.client.secrets.find(({ expiresAt }) => expiresAt !== undefined)
    return {
      json: describeClient(rotated.client, ctx.clock.now(), rotated.clientSecret),
      text: () =>
        pairs([
          ['client_id', clientId],
          ['client_secret', rotated.clientSecret],
        ]) +
        (old
          ? `The old secret is valid until ${timeText(old.expiresAt)}; it was ${old.lastUsedAt ? `last used ${timeText(old.lastUsedAt)}` : 'never used'}.\n`
          : 'The old secret is no longer valid.\n') +
        keepSecret,
    }
  },
})

export const clientCommands = [create, list, show, update, disable, enable, remove, rotate]

/** Whether it registered itself; a date: until when it is kept, if it gets no token. */
function byItselfText({ selfRegistered, unusedUntil, documentHash }: StoredClient): string {
  if (!selfRegistered) return ''
  return unusedUntil ? `until ${timeText(unusedUntil).slice(0, 10)}` : documentHash ? 'document' : 'yes'
}

/** By whom; and until when one that registered itself is kept, if it gets no token. */
function registeredText({ selfRegistered, unusedUntil, documentFetchedAt }: StoredClient): string {
  if (!selfRegistered) return 'by an operator'
  const how = documentFetchedAt ? `by the document at its id, read ${timeText(documentFetchedAt)}` : 'by itself'
  return unusedUntil ? `${how}, unused until ${timeText(unusedUntil)}` : how
}

const keepSecret = 'Keep the secret now: it is not shown again.\n'

function registeredAnswer(ctx: Context, headline: string, { client, clientSecret }: RegisteredClient): Answer {
  const registered = toRegistration(client, clientSecret)
  const unowned = client.scope.filter((name) => !wellKnownScopes.has(name) && ctx.resources.ownersOf(name).length === 0)
  return {
    json: registered,
    warnings: [
      // Kept, since the resource may come later; but it may be a slip, which would show as invalid_scope alone.
      ...(unowned.length === 0
        ? []
        : [
            `No resource has the scope ${unowned.join(', ')} yet: asking for it is answered invalid_scope until one has.`,
          ]),
      // Kept too: it counts again where the client becomes a web application.
      ...(client.firstParty && client.applicationType === 'native'
        ? [
            'first_party has no effect on a native client: it cannot prove which app it is, so its users are asked for consent every time (RFC 8252 §8.6).',
          ]
        : []),
    ],
    text: () => `${headline}\n${pairs(fields(registered))}${clientSecret === undefined ? '' : keepSecret}`,
  }
}

async function describedAnswer(ctx: Context, clientId: string): Promise<Answer> {
  const client = await findClient(ctx, clientId)
  const now = ctx.clock.now()
  const live = client.secrets.filter(({ expiresAt }) => !expiresAt || expiresAt > now)
  const columns = [
    {
      title: 'SECRET',
      value: ({ method }: (typeof live)[number]) => (method === 'argon2id' ? 'weak (argon2id)' : 'strong'),
    },
    { title: 'CREATED', value: ({ createdAt }: (typeof live)[number]) => timeText(createdAt) },
    {
      title: 'VALID',
      value: ({ expiresAt }: (typeof live)[number]) => `until ${expiresAt ? timeText(expiresAt) : 'rotated'}`,
    },
    { title: 'LAST USED', value: ({ lastUsedAt }: (typeof live)[number]) => timeText(lastUsedAt) },
  ]
  return {
    json: describeClient(client, now),
    text: (width) =>
      pairs([
        ...fields(toRegistration(client)),
        ['resource server of', client.resourceServerOf],
        ['roles', client.roles.map(({ resource, name }) => `${name} at ${resource}`).join(', ')],
        ['state', client.disabledAt ? `disabled since ${timeText(client.disabledAt)}` : 'enabled'],
        ['registered', registeredText(client)],
        ['last used', timeText(client.lastUsedAt)],
      ]) + (live.length > 0 ? `\n${table(live, columns, width)}` : ''),
  }
}

function fields(registered: Readonly<Record<string, unknown>>): readonly (readonly [string, string])[] {
  return Object.entries(registered)
    .filter(([name]) => name !== 'client_id_issued_at' && name !== 'client_secret_expires_at')
    .map(([name, value]) => [name, fieldText(value)])
}

function fieldText(value: unknown): string {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join(' ') || '(none)'
  return typeof value === 'string' ? value : JSON.stringify(value)
}
