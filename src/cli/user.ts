import {
  createUser,
  describeUser,
  disableUser,
  enableUser,
  findUser,
  listUsers,
  setPassword,
  updateUser,
} from '../identity/index.js'
import { roles, type User } from '../store/index.js'
import { type Answer, atMostOne, defineCommand, UsageError } from './command.js'
import { readJsonObject, readSecretLine } from './input.js'
import { operator } from './operator.js'
import { pairs, table, timeText } from './output.js'

const passwordStdin = {
  type: 'boolean',
  required: true,
  description: 'Reads the password from standard input, so that it is in no list of processes.',
} as const

const allow = {
  type: 'string',
  value: 'CIDR',
  multiple: true,
  description: 'A network that they may sign in from, and be signed in. Default: any.',
} as const

const create = defineCommand({
  name: 'user create',
  summary: 'Create a user',
  options: {
    email: { type: 'string', value: 'EMAIL', required: true, description: 'By which they sign in.' },
    name: { type: 'string', value: 'TEXT', description: 'Their name.' },
    admin: { type: 'boolean', description: 'An administrator.' },
    allow,
    'password-stdin': passwordStdin,
  },
  examples: [
    'ostiary user create --email ann@example.com --name "Ann Lee" --password-stdin < password.txt',
    'printf \'%s\' "$PASSWORD" | ostiary user create --email root@example.com --admin --allow 192.0.2.0/24 --password-stdin',
  ],
  async run({ io, options, context }) {
    const { email = '', name, admin = false, allow: allowedNetworks } = options
    const password = await readSecretLine(io, 'the password')
    const user = await createUser(await context(), { email, name, admin, password, allowedNetworks }, operator)
    return userAnswer(admin ? 'Created the administrator.' : 'Created the user.', user)
  },
})

const list = defineCommand({
  name: 'user list',
  summary: 'List all users',
  examples: ['ostiary user list', 'ostiary user list --json'],
  async run({ context }) {
    const all = await listUsers(await context())
    return {
      json: all.map(describeUser),
      text: (width) =>
        all.length === 0
          ? 'There is no user yet. `ostiary user create` makes one.\n'
          : table(
              all,
              [
                { title: 'ID', value: ({ id }) => id },
                { title: 'E-MAIL', value: ({ email }) => email, flexible: true },
                { title: 'NAME', value: ({ name }) => name ?? '', flexible: true },
                { title: 'ADMIN', value: ({ admin }) => (admin ? 'yes' : 'no') },
                { title: 'STATE', value: ({ disabledAt }) => (disabledAt ? 'disabled' : 'enabled') },
                { title: 'CREATED', value: ({ createdAt }) => timeText(createdAt) },
              ],
              width,
            ),
    }
  },
})

const show = defineCommand({
  name: 'user show',
  summary: 'Show a user and their roles',
  words: ['ID|EMAIL'],
  examples: ['ostiary user show ann@example.com'],
  async run({ words: [who = ''], context }) {
    const ctx = await context()
    const user = await findUser(ctx, who)
    const held = await roles.heldBy(ctx.db, { kind: 'user', holder: user.id })
    return {
      json: { ...describeUser(user), roles: held.map(({ resource, name }) => ({ resource, name })) },
      text: () =>
        pairs([...fields(user), ['roles', held.map(({ resource, name }) => `${name} at ${resource}`).join(', ')]]),
    }
  },
})

const update = defineCommand({
  name: 'user update',
  summary: 'Change what is known of a user, or the networks that they may sign in from',
  description:
    'What is given replaces what was; everything else stays. It holds from the next request on: who is signed in elsewhere is so no more.',
  words: ['ID|EMAIL'],
  options: {
    name: { type: 'string', value: 'TEXT', description: 'Their name.' },
    allow,
    'allow-anywhere': { type: 'boolean', description: 'They may sign in from any network again.' },
    profile: {
      type: 'string',
      value: 'FILE|-',
      description: 'All of their standard claims besides name and e-mail address, as JSON (OIDC Core §5.1).',
    },
    'email-verified': { type: 'boolean', description: 'The address is theirs: somebody has made sure of it.' },
    'no-email-verified': { type: 'boolean', description: 'Nobody has (default).' },
  },
  examples: [
    'ostiary user update root@example.com --allow 192.0.2.0/24 --allow 2001:db8:0:1::/64',
    'ostiary user update root@example.com --allow-anywhere',
    'ostiary user update ann@example.com --profile ann.json --email-verified',
  ],
  async run({ io, options, words: [who = ''], context }) {
    atMostOne(options, ['allow', 'allow-anywhere'])
    atMostOne(options, ['email-verified', 'no-email-verified'])
    const { name, 'allow-anywhere': anywhere, profile: path } = options
    const change = {
      name,
      allowedNetworks: anywhere ? [] : options.allow,
      profile: path === undefined ? undefined : await readJsonObject(io, path, 'profile'),
      emailVerified: options['no-email-verified'] ? false : options['email-verified'],
    }
    if (Object.values(change).every((value) => value === undefined)) throw new UsageError('Nothing to change is given.')
    const ctx = await context()
    const { id } = await findUser(ctx, who)
    return userAnswer('Updated the user.', await updateUser(ctx, id, change, operator))
  },
})

const disable = defineCommand({
  name: 'user disable',
  summary: 'End all that a user has, and let nobody sign in as them until they are enabled',
  words: ['ID|EMAIL'],
  examples: ['ostiary user disable ann@example.com'],
  async run({ words: [who = ''], context }) {
    const ctx = await context()
    const user = await findUser(ctx, who)
    const done = await disableUser(ctx, user.id, operator)
    return {
      json: { id: user.id, disabled: true, changed: done },
      text: () =>
        done
          ? `Disabled the user ${user.email}. Their sessions, grants and tokens ended.\n`
          : `The user ${user.email} was disabled already.\n`,
    }
  },
})

const enable = defineCommand({
  name: 'user enable',
  summary: 'Let a disabled user sign in again',
  words: ['ID|EMAIL'],
  examples: ['ostiary user enable ann@example.com'],
  async run({ words: [who = ''], context }) {
    const ctx = await context()
    const user = await findUser(ctx, who)
    const done = await enableUser(ctx, user.id, operator)
    return {
      json: { id: user.id, disabled: false, changed: done },
      text: () =>
        done
          ? `Enabled the user ${user.email}. What they had before stays ended.\n`
          : `The user ${user.email} was not disabled.\n`,
    }
  },
})

const password = defineCommand({
  name: 'user set-password',
  summary: "Set a user's password, and end all that they have",
  words: ['ID|EMAIL'],
  options: { 'password-stdin': passwordStdin },
  examples: ['ostiary user set-password ann@example.com --password-stdin < password.txt'],
  async run({ io, words: [who = ''], context }) {
    const value = await readSecretLine(io, 'the password')
    const ctx = await context()
    const user = await findUser(ctx, who)
    await setPassword(ctx, user.id, value, operator)
    return {
      json: { id: user.id, password_changed: true },
      text: () => `Set the password of ${user.email}. Their sessions, grants and tokens ended.\n`,
    }
  },
})

export const userCommands = [create, list, show, update, disable, enable, password]

function userAnswer(headline: string, user: User): Answer {
  return { json: describeUser(user), text: () => `${headline}\n${pairs(fields(user))}` }
}

function fields(user: User): readonly (readonly [string, string | undefined])[] {
  return [
    ['id', user.id],
    ['e-mail', user.email],
    ['name', user.name],
    ['administrator', user.admin ? 'yes' : 'no'],
    ['networks', user.allowedNetworks.join(' ') || undefined],
    ['state', user.disabledAt ? `disabled since ${timeText(user.disabledAt)}` : 'enabled'],
    ['created', timeText(user.createdAt)],
  ]
}
