import { createResource, deleteResource } from '../clients/index.js'
import { parseScope } from '../oauth/index.js'
import {
  type ClearableSetting,
  describeResource,
  findResource,
  listResources,
  type Resource,
  type ResourceScope,
  type ResourceSettings,
  resourceClaims,
  resourceSigningAlgs,
  updateResource,
} from '../resources/index.js'
import {
  assignment,
  atMostOne,
  closest,
  defineCommand,
  type OptionSpecs,
  type OptionValues,
  UsageError,
  wholeNumber,
} from './command.js'
import { operator } from './operator.js'
import { pairs, table, timeText } from './output.js'

const settingOptions = {
  name: { type: 'string', value: 'TEXT', description: 'What people know it by.' },
  scope: { type: 'string', value: '"A B"', multiple: true, description: 'All of its scopes.' },
  'scope-description': {
    type: 'string',
    value: 'SCOPE="SENTENCE"',
    multiple: true,
    description: 'What the consent page says of a scope.',
  },
  'scope-lifetime': {
    type: 'string',
    value: 'SCOPE=SECONDS',
    multiple: true,
    description: 'Lowers the lifetime of access tokens that have it.',
  },
  'token-format': { type: 'string', value: 'FORMAT', description: 'jwt (default, RFC 9068) or opaque.' },
  'token-lifetime': { type: 'string', value: 'SECONDS', description: 'Of its access tokens, 60 to 3600.' },
  'signing-alg': {
    type: 'string',
    value: 'ALG',
    description: `${resourceSigningAlgs.join(', ')}. Default: the server's.`,
  },
  claim: {
    type: 'string',
    value: 'NAME',
    multiple: true,
    description: `What its tokens say besides: ${resourceClaims.join(', ')}.`,
  },
  'uses-roles': { type: 'boolean', description: 'A scope is for those who hold it by a role. On with its first role.' },
  'accepts-basic': {
    type: 'boolean',
    description: 'Service accounts may show their client_id and client_secret (RFC 7617). Off by default.',
  },
} as const satisfies OptionSpecs

const create = defineCommand({
  name: 'resource create',
  summary: 'Register an API that tokens are for',
  description:
    'Prints the client_id and client_secret by which the resource server of the API identifies itself at /introspect. ' +
    'The secret is printed this once.',
  options: {
    identifier: { type: 'string', value: 'URI', required: true, description: 'What tokens say as aud. RFC 8707 §2.' },
    ...settingOptions,
  },
  examples: [
    'ostiary resource create --identifier https://api.example.com --scope "read write" --scope-description read="Read your orders."',
    'ostiary resource create --identifier https://pay.example.com --scope pay --token-format opaque --scope-lifetime pay=60',
  ],
  async run({ options, context }) {
    const { identifier = '', ...values } = options
    const settings = readSettings(values, [])
    const ctx = await context()
    const { resource, clientSecret, warnings } = await createResource(ctx, identifier, settings, operator)
    return {
      json: { ...describeResource(resource), client_secret: clientSecret },
      warnings,
      text: (width) =>
        'Registered the resource. Its resource server identifies itself by:\n' +
        pairs([
          ['client_id', resource.clientId],
          ['client_secret', clientSecret],
        ]) +
        `Keep the secret now: it is not shown again.\n\n${resourceText(resource, width)}`,
    }
  },
})

const list = defineCommand({
  name: 'resource list',
  summary: 'List all resources',
  examples: ['ostiary resource list', 'ostiary resource list --json'],
  async run({ context }) {
    const all = await listResources(await context())
    return {
      json: all.map(describeResource),
      text: (width) =>
        all.length === 0
          ? 'There is no resource yet. `ostiary resource create` registers one.\n'
          : table(
              all,
              [
                { title: 'IDENTIFIER', value: ({ identifier }) => identifier, flexible: true },
                { title: 'NAME', value: ({ name }) => name ?? '', flexible: true },
                { title: 'SCOPES', value: ({ scopes }) => scopes.map(({ name }) => name).join(' '), flexible: true },
                { title: 'TOKENS', value: ({ tokenFormat }) => tokenFormat },
                { title: 'ROLES', value: ({ usesRoles }) => (usesRoles ? 'yes' : 'no') },
                { title: 'BASIC', value: ({ acceptsBasic }) => (acceptsBasic ? 'yes' : 'no') },
                { title: 'CLIENT ID', value: ({ clientId }) => clientId },
              ],
              width,
            ),
    }
  },
})

const show = defineCommand({
  name: 'resource show',
  summary: 'Show a resource and its scopes',
  words: ['IDENTIFIER'],
  examples: ['ostiary resource show https://api.example.com'],
  async run({ words: [identifier = ''], context }) {
    const resource = await findResource(await context(), identifier)
    return { json: describeResource(resource), text: (width) => resourceText(resource, width) }
  },
})

const clearable: Readonly<Record<string, ClearableSetting>> = {
  name: 'name',
  'token-lifetime': 'tokenLifetime',
  'signing-alg': 'signingAlg',
}

const update = defineCommand({
  name: 'resource update',
  summary: 'Change a resource',
  description:
    'What is given replaces what was; everything else stays. Scopes that stay keep their sentence and lifetime; an ' +
    'empty one (`--scope-description read=`) takes it back. Tokens that were issued stay as they are until they expire.',
  words: ['IDENTIFIER'],
  options: {
    ...settingOptions,
    'add-scope': { type: 'string', value: '"A B"', multiple: true, description: 'Further scopes.' },
    'remove-scope': { type: 'string', value: '"A B"', multiple: true, description: 'Scopes to take away.' },
    'no-uses-roles': { type: 'boolean', description: 'Every scope is for everybody again.' },
    'no-accepts-basic': {
      type: 'boolean',
      description: 'Passwords are refused, within the minute also where one was right.',
    },
    unset: {
      type: 'string',
      value: 'SETTING',
      multiple: true,
      description: `Takes a setting back to the server's: ${Object.keys(clearable).join(', ')}.`,
    },
  },
  examples: [
    'ostiary resource update https://api.example.com --add-scope delete --scope-description delete="Delete your orders."',
    'ostiary resource update https://api.example.com --token-lifetime 300 --claim roles',
    'ostiary resource update https://api.example.com --accepts-basic',
  ],
  async run({ options, words: [identifier = ''], context }) {
    const { 'add-scope': added, 'remove-scope': removed, unset = [], ...rest } = options
    const { 'no-uses-roles': everybody, 'no-accepts-basic': noPasswords, ...values } = rest
    atMostOne(options, ['uses-roles', 'no-uses-roles'])
    atMostOne(options, ['accepts-basic', 'no-accepts-basic'])
    atMostOne(options, ['scope', 'add-scope'])
    atMostOne(options, ['scope', 'remove-scope'])
    const cleared = unset.map((setting) => {
      const found = clearable[setting.replaceAll('_', '-')]
      if (!found) throw new UsageError(`--unset is not one of ${Object.keys(clearable).join(', ')}.`)
      return found
    })
    if (Object.keys(options).length === 0) throw new UsageError('Nothing to change is given.')
    const ctx = await context()
    const before = (await findResource(ctx, identifier)).scopes
    const gone = scopeNames(removed)
    for (const name of gone) {
      if (!before.some((scope) => scope.name === name)) throw unknownScope('remove-scope', name, before)
    }
    const kept = before.filter(({ name }) => !gone.includes(name))
    const scopes = [
      ...kept,
      ...scopeNames(added)
        .filter((name) => !kept.some((scope) => scope.name === name))
        .map((name) => ({ name })),
    ]
    const settings = {
      ...readSettings(values, scopes),
      ...(everybody ? { usesRoles: false } : {}),
      ...(noPasswords ? { acceptsBasic: false } : {}),
    }
    const { resource, warnings } = await updateResource(ctx, identifier, settings, { by: operator, cleared })
    return {
      json: describeResource(resource),
      warnings,
      text: (width) => `Updated the resource.\n${resourceText(resource, width)}`,
    }
  },
})

const remove = defineCommand({
  name: 'resource delete',
  summary: 'Delete a resource, its scopes and roles, and the client of its resource server',
  description: 'Acts at once. Access tokens that were issued for it are JWTs until they expire, an hour at most.',
  words: ['IDENTIFIER'],
  examples: ['ostiary resource delete https://api.example.com'],
  async run({ words: [identifier = ''], context }) {
    const { clientId, scopes } = await deleteResource(await context(), identifier, operator)
    const names = scopes.map(({ name }) => name)
    return {
      json: { identifier, deleted: true, client_id: clientId, scope: names.join(' ') },
      text: () =>
        `Deleted the resource ${identifier}, with its roles${names.length > 0 ? ` and its scopes ${names.join(', ')}` : ''}.\n` +
        `Ended the client of its resource server, ${clientId}. No token is issued for the resource any more.\n`,
    }
  },
})

export const resourceCommands = [create, list, show, update, remove]

function resourceText(resource: Resource, width: number): string {
  const { scopes } = resource
  const columns = [
    { title: 'SCOPE', value: ({ name }: ResourceScope) => name },
    { title: 'SENTENCE', value: ({ description }: ResourceScope) => description ?? '', flexible: true },
    { title: 'LIFETIME', value: ({ tokenLifetime }: ResourceScope) => (tokenLifetime ? `${tokenLifetime} s` : '') },
  ]
  return (
    pairs([
      ['identifier', resource.identifier],
      ['name', resource.name],
      ['client_id', resource.clientId],
      ['token format', resource.tokenFormat],
      ['token lifetime', resource.tokenLifetime === undefined ? undefined : `${resource.tokenLifetime} s`],
      ['signing alg', resource.signingAlg],
      ['claims', resource.claims.join(' ')],
      ['uses roles', resource.usesRoles ? 'yes' : 'no'],
      ['accepts basic', resource.acceptsBasic ? 'yes' : 'no'],
      ['created', timeText(resource.createdAt)],
    ]) + (scopes.length > 0 ? `\n${table(scopes, columns, width)}` : '')
  )
}

/** @param before scopes that stay unless --scope says all of them */
function readSettings(values: OptionValues<typeof settingOptions>, before: readonly ResourceScope[]): ResourceSettings {
  const { scope, 'scope-description': descriptions = [], 'scope-lifetime': lifetimes = [] } = values
  const names = scope === undefined ? before.map(({ name }) => name) : scopeNames(scope)
  const scopes = new Map(names.map((name) => [name, before.find((known) => known.name === name) ?? { name }]))
  const change = (option: string, name: string, part: Partial<ResourceScope>): void => {
    const known = scopes.get(name)
    if (!known) throw unknownScope(option, name, [...scopes.values()])
    scopes.set(name, { ...known, ...part })
  }
  for (const each of descriptions) {
    const [name, text] = assignment(each, 'scope-description')
    change('scope-description', name, { description: text === '' ? undefined : text })
  }
  for (const each of lifetimes) {
    const [name, text] = assignment(each, 'scope-lifetime')
    change('scope-lifetime', name, {
      tokenLifetime: text === '' ? undefined : wholeNumber(text, 'scope-lifetime', 60, 3600),
    })
  }
  const lifetime = values['token-lifetime']
  return {
    name: values.name,
    scopes: [...scopes.values()],
    tokenFormat: values['token-format'],
    tokenLifetime: lifetime === undefined ? undefined : wholeNumber(lifetime, 'token-lifetime', 60, 3600),
    signingAlg: values['signing-alg'],
    claims: values.claim,
    usesRoles: values['uses-roles'],
    acceptsBasic: values['accepts-basic'],
  }
}

function scopeNames(given: readonly string[] = []): readonly string[] {
  return [...new Set(given.flatMap((text) => parseScope(text.trim())))]
}

function unknownScope(option: string, name: string, known: readonly ResourceScope[]): UsageError {
  const names = known.map((scope) => scope.name)
  const suggestion = closest(name, names)
  return new UsageError(
    `--${option} names the scope ${name}, which it has not.${suggestion ? ` Did you mean ${suggestion}?` : ''}`,
  )
}
