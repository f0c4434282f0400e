import { findClient } from '../clients/index.js'
import type { Context } from '../context.js'
import { findUser } from '../identity/index.js'
import { parseScope } from '../oauth/index.js'
import {
  createRole,
  deleteRole,
  describeRole,
  findRole,
  grantRole,
  listRoles,
  withdrawRole,
} from '../resources/index.js'
import { type RoleHolder, roles } from '../store/index.js'
import { displayText } from '../ui/index.js'
import { atMostOne, defineCommand, exactlyOne, type OptionSpecs, type OptionValues } from './command.js'
import { operator } from './operator.js'
import { pairs, table, timeText } from './output.js'

const resourceOption = {
  resource: { type: 'string', value: 'IDENTIFIER', required: true, description: 'Whose role it is.' },
} as const satisfies OptionSpecs

const holderOptions = {
  user: { type: 'string', value: 'ID|EMAIL', description: 'A user.' },
  client: { type: 'string', value: 'CLIENT_ID', description: 'A client, for what it asks as itself.' },
} as const satisfies OptionSpecs

const create = defineCommand({
  name: 'role create',
  summary: "Create a role: a named set of a resource's scopes",
  description: 'With its first role a resource uses roles: from then on its scopes are for those who hold one.',
  words: ['NAME'],
  options: {
    ...resourceOption,
    scope: { type: 'string', value: '"A B"', required: true, description: 'Scopes of the resource.' },
    description: { type: 'string', value: 'TEXT', description: 'What it is for.' },
  },
  examples: ['ostiary role create editor --resource https://api.example.com --scope "read write"'],
  async run({ options, words: [name = ''], context }) {
    const { resource = '', scope = '', description } = options
    const ctx = await context()
    const input = { resource, name, scope: parseScope(scope.trim()), description }
    const { role, turnedOn } = await createRole(ctx, input, operator)
    return {
      json: describeRole(role, []),
      warnings: turnedOn
        ? [
            `${resource} uses roles from now on: only who holds a role gets its scopes. \`ostiary role grant\` gives it.`,
          ]
        : [],
      text: () => `Created the role ${name} of ${resource}: ${role.scope.join(' ')}.\n`,
    }
  },
})

const list = defineCommand({
  name: 'role list',
  summary: 'List roles: all, of a resource, or of a holder',
  options: {
    resource: { type: 'string', value: 'IDENTIFIER', description: 'Of this resource alone.' },
    ...holderOptions,
  },
  examples: ['ostiary role list', 'ostiary role list --user ann@example.com'],
  async run({ options, context }) {
    atMostOne(options, ['user', 'client'])
    const ctx = await context()
    const all = await listRoles(ctx, options.resource)
    const holder = options.user !== undefined || options.client !== undefined ? await holderOf(ctx, options) : undefined
    const held = holder && (await roles.heldBy(ctx.db, holder, options.resource))
    const shown = held
      ? all.filter((role) => held.some(({ resource, name }) => resource === role.resource && name === role.name))
      : all
    return {
      json: shown.map((role) => describeRole(role)),
      text: (width) =>
        shown.length === 0
          ? 'There is no such role.\n'
          : table(
              shown,
              [
                { title: 'ROLE', value: ({ name }) => name },
                { title: 'RESOURCE', value: ({ resource }) => resource, flexible: true },
                { title: 'SCOPES', value: ({ scope }) => scope.join(' '), flexible: true },
                { title: 'DESCRIPTION', value: ({ description }) => description ?? '', flexible: true },
              ],
              width,
            ),
    }
  },
})

const show = defineCommand({
  name: 'role show',
  summary: 'Show a role and who holds it',
  words: ['NAME'],
  options: resourceOption,
  examples: ['ostiary role show editor --resource https://api.example.com'],
  async run({ options: { resource = '' }, words: [name = ''], context }) {
    const { role, holders } = await findRole(await context(), resource, name)
    return {
      json: describeRole(role, holders),
      text: (width) =>
        pairs([
          ['role', role.name],
          ['resource', role.resource],
          ['scopes', role.scope.join(' ')],
          ['description', role.description],
          ['created', timeText(role.createdAt)],
        ]) + (holders.length > 0 ? `\n${holderTable(holders, width)}` : '\nNobody holds it.\n'),
    }
  },
})

const grant = defineCommand({
  name: 'role grant',
  summary: 'Give a role to a user or a client',
  description: 'It takes effect with the next token.',
  words: ['NAME'],
  options: { ...resourceOption, ...holderOptions },
  examples: ['ostiary role grant editor --resource https://api.example.com --user ann@example.com'],
  async run({ options, words: [name = ''], context }) {
    exactlyOne(options, ['user', 'client'])
    const { resource = '' } = options
    const ctx = await context()
    const holder = await holderOf(ctx, options)
    const done = await grantRole(ctx, resource, name, holder, operator)
    return {
      json: { role: name, resource, ...holder, granted: true, changed: done },
      text: () =>
        done
          ? `Gave the role ${name} of ${resource} to the ${holder.kind} ${nameOf(options)}.\n`
          : `The ${holder.kind} ${nameOf(options)} held the role ${name} already.\n`,
    }
  },
})

const withdraw = defineCommand({
  name: 'role withdraw',
  summary: 'Take a role from a user or a client',
  description: 'Their tokens for the resource end at once; the next ones come without the scopes of the role.',
  words: ['NAME'],
  options: { ...resourceOption, ...holderOptions },
  examples: ['ostiary role withdraw editor --resource https://api.example.com --user ann@example.com'],
  async run({ options, words: [name = ''], context }) {
    exactlyOne(options, ['user', 'client'])
    const { resource = '' } = options
    const ctx = await context()
    const holder = await holderOf(ctx, options)
    const done = await withdrawRole(ctx, resource, name, holder, operator)
    return {
      json: { role: name, resource, ...holder, granted: false, changed: done },
      text: () =>
        done
          ? `Took the role ${name} of ${resource} from the ${holder.kind} ${nameOf(options)}. Their tokens there ended.\n`
          : `The ${holder.kind} ${nameOf(options)} did not hold the role ${name}.\n`,
    }
  },
})

const remove = defineCommand({
  name: 'role delete',
  summary: 'Withdraw a role from all who hold it, and delete it',
  description: 'Acts at once. The resource uses roles as before, even if this was its last.',
  words: ['NAME'],
  options: resourceOption,
  examples: ['ostiary role delete editor --resource https://api.example.com'],
  async run({ options: { resource = '' }, words: [name = ''], context }) {
    const ctx = await context()
    const holders = await deleteRole(ctx, resource, name, operator)
    const wasLast = (await listRoles(ctx, resource)).length === 0
    return {
      json: { role: name, resource, deleted: true, holders },
      warnings: wasLast
        ? [
            `That was the last role of ${resource}, which still uses roles: nobody gets its scopes now. \`ostiary resource update ${resource} --no-uses-roles\` gives them to everybody.`,
          ]
        : [],
      text: (width) =>
        `Deleted the role ${name} of ${resource}. ` +
        (holders.length > 0
          ? `Withdrew it from these, whose tokens there ended:\n${holderTable(holders, width)}`
          : 'Nobody held it.\n'),
    }
  },
})

export const roleCommands = [create, list, show, grant, withdraw, remove]

function holderTable(holders: readonly RoleHolder[], width: number): string {
  const columns = [
    { title: 'KIND', value: ({ kind }: RoleHolder) => kind },
    { title: 'HOLDER', value: ({ holder }: RoleHolder) => holder, flexible: true },
  ]
  return table(holders, columns, width)
}

async function holderOf(ctx: Context, options: OptionValues<typeof holderOptions>): Promise<RoleHolder> {
  if (options.user !== undefined) return { kind: 'user', holder: (await findUser(ctx, options.user)).id }
  return { kind: 'client', holder: (await findClient(ctx, options.client ?? '')).clientId }
}

/** As it was given: whoever typed an e-mail address knows no id. */
function nameOf({ user, client }: OptionValues<typeof holderOptions>): string {
  return displayText(user ?? client ?? '', 320)
}
