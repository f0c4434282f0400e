// Owns the command line: one file per group of commands; this one finds the command, runs it and says how it ended.

import type { Context } from '../context.js'
import { OAuthError } from '../oauth/index.js'
import { AdministrationError, NotFoundError, type Noun } from '../platform/administration-errors.js'
import { ConfigError } from '../platform/config/index.js'
import { EmbeddedPostgresError } from '../platform/embedded-postgres/index.js'
import { describeError } from '../platform/log.js'
import { WrongMasterKeyError } from '../secrets/index.js'
import { isDatabaseAway } from '../store/index.js'
import { MigrationError } from '../store/migrations.js'
import { apiKeyCommands } from './api-key.js'
import { apiKeyPolicyCommands } from './api-key-policy.js'
import { apiKeyUsageCommands } from './api-key-usage.js'
import { archiveCommands } from './archive.js'
import { auditCommands } from './audit.js'
import { clientCommands } from './client.js'
import { type Answer, type Command, type CommandIo, closest, parseArguments, UsageError } from './command.js'
import { databaseAwayText } from './database-away.js'
import { gatewayCommands } from './gateway.js'
import { helpOf, overview, processCommands, version } from './help.js'
import { InputError } from './input.js'
import { NotMigratedError, openCommandContext } from './installation.js'
import { keyCommands } from './key.js'
import { masterKeyCommands } from './master-key.js'
import { migrateCommands } from './migrate.js'
import { noticeCommands } from './notice.js'
import { outboxCommands } from './outbox.js'
import { jsonText, OutputClosedError, print, widthOf } from './output.js'
import { registrationTokenCommands } from './registration-token.js'
import { resourceCommands } from './resource.js'
import { revokeCommands } from './revoke.js'
import { roleCommands } from './role.js'
import { tierCommands } from './tier.js'
import { userCommands } from './user.js'

export type { CommandIo } from './command.js'
export { processCommands } from './help.js'

export const commands: readonly Command[] = [
  ...clientCommands,
  ...registrationTokenCommands,
  ...userCommands,
  ...resourceCommands,
  ...roleCommands,
  ...apiKeyCommands,
  ...apiKeyUsageCommands,
  ...apiKeyPolicyCommands,
  ...noticeCommands,
  ...tierCommands,
  ...gatewayCommands,
  ...keyCommands,
  ...masterKeyCommands,
  ...revokeCommands,
  ...auditCommands,
  ...outboxCommands,
  ...migrateCommands,
  ...archiveCommands,
]

/**
 * Runs one command; `argv` begins with its name. Errors are one line on standard error that says what to do.
 *
 * @returns the exit status: 0 done, 1 not done, 2 wrong usage
 */
export async function runCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  let hint = 'ostiary --help'
  try {
    const asked = argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv
    if (asked[0] === '--version') return say(io, `${version()}\n`)
    const wantsHelp = asked.includes('--help') || asked.includes('-h')
    const found = findCommand(asked)
    if (!found) {
      const [name] = asked.filter((word) => !word.startsWith('-'))
      if (name === undefined && (wantsHelp || asked.length === 0)) {
        if (wantsHelp) return say(io, overview(commands))
        io.stderr.write(overview(commands))
        return 2
      }
      const process = processCommands.find((command) => command.name === name)
      if (process && wantsHelp)
        return say(io, `${process.summary}.\n\nUsage: ostiary ${process.name} [OPTIONS]\n\n${process.help}`)
      if (process) {
        hint = `ostiary ${process.name} --help`
        throw new UsageError(`\`ostiary ${process.name}\` takes no argument or option but --demo.`)
      }
      const isGroup = commands.some((command) => command.name.startsWith(`${name} `))
      if (name !== undefined && isGroup && wantsHelp) return say(io, overview(commands, name))
      if (name !== undefined && isGroup) hint = `ostiary ${name} --help`
      throw unknownCommand(asked)
    }
    const { command, rest } = found
    hint = `ostiary ${command.name} --help`
    const { options, words, json, help } = parseArguments(command, rest)
    if (help) return say(io, helpOf(command))
    const answer = await run(command, { options, words, json }, io)
    if (answer) await printAnswer(answer, json, io)
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      io.stderr.write(`ostiary: ${error.message} See \`${hint}\`.\n`)
      return 2
    }
    io.stderr.write(`ostiary: ${explain(error)}\n`)
    return 1
  }
}

/** The context is opened when the command asks for it, and closed before the answer is printed. */
async function run(
  command: Command,
  given: {
    readonly options: Readonly<Record<string, unknown>>
    readonly words: readonly string[]
    readonly json: boolean
  },
  io: CommandIo,
): Promise<Answer | undefined> {
  let opening: Promise<Context> | undefined
  const context = (): Promise<Context> => {
    opening ??= openCommandContext(io)
    return opening
  }
  // They were read by the specifications of this very command.
  const options = given.options as Parameters<Command['run']>[0]['options']
  try {
    return await command.run({ io, ...given, options, context })
  } finally {
    const ctx = await opening?.catch(() => undefined)
    await ctx?.close()
  }
}

async function printAnswer(answer: Answer, json: boolean, io: CommandIo): Promise<void> {
  for (const warning of answer.warnings ?? []) io.stderr.write(`ostiary: warning: ${warning}\n`)
  try {
    await print(io, json ? jsonText(answer.json) : answer.text(widthOf(io)))
  } catch (error) {
    if (!(error instanceof OutputClosedError) || answer.ifUnseen === undefined) throw error
    throw new OutputClosedError(`${error.message} ${answer.ifUnseen}`, { cause: error })
  }
}

function say(io: CommandIo, text: string): number {
  io.stdout.write(text)
  return 0
}

/** Two words or one; `--json` may stand before them. */
function findCommand(
  argv: readonly string[],
): { readonly command: Command; readonly rest: readonly string[] } | undefined {
  const before = argv[0] === '--json' ? 1 : 0
  for (const length of [2, 1]) {
    const name = argv.slice(before, before + length).join(' ')
    const command = commands.find((candidate) => candidate.name === name)
    if (command) return { command, rest: [...argv.slice(0, before), ...argv.slice(before + length)] }
  }
  return undefined
}

function unknownCommand(argv: readonly string[]): UsageError {
  const words = argv.filter((word) => !word.startsWith('-')).slice(0, 2)
  const [group = ''] = words
  const inGroup = commands.filter(({ name }) => name.startsWith(`${group} `))
  if (inGroup.length > 0) {
    const rest = inGroup.map(({ name }) => name.slice(group.length + 1))
    const [, second] = words
    if (second === undefined) return new UsageError(`\`ostiary ${group}\` needs one of ${rest.join(', ')}.`)
    return new UsageError(`There is no command ${shown(`${group} ${second}`)}.${didYouMean(second, rest, `${group} `)}`)
  }
  if (words.length === 0) return new UsageError('A command is missing.')
  const all = [...commands, ...processCommands].map(({ name }) => name)
  const groups = [...new Set(all.map((name) => name.split(' ')[0] ?? ''))]
  const whole = closest(words.join(' '), all)
  const suggestion = whole ? ` Did you mean \`ostiary ${whole}\`?` : didYouMean(group, groups, '')
  return new UsageError(`There is no command ${shown(group)}.${suggestion}`)
}

function didYouMean(name: string, names: readonly string[], prefix: string): string {
  const suggestion = closest(name, names)
  return suggestion ? ` Did you mean \`ostiary ${prefix}${suggestion}\`?` : ''
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}

/** Where to look for what was not found. */
const listings: Readonly<Partial<Record<Noun, string>>> = {
  client: 'client list',
  user: 'user list',
  resource: 'resource list',
  role: 'role list',
  'api-key': 'api-key list',
  tier: 'tier list',
  'registration-token': 'registration-token list',
}

/** One line for whoever ran the command: what is wrong, and what to do. Never a secret, which no message of ours holds. */
function explain(error: unknown): string {
  if (error instanceof NotFoundError) {
    const listing = listings[error.noun]
    return `${error.message}${listing ? ` \`ostiary ${listing}\` shows what there is.` : ''}`
  }
  if (error instanceof OAuthError && error.reason === 'client_secret_weak') {
    return `${error.message} --weak-secret accepts it as it is.`
  }
  if (error instanceof AdministrationError || error instanceof OAuthError) return error.message
  if (error instanceof ConfigError || error instanceof InputError || error instanceof NotMigratedError)
    return error.message
  if (
    error instanceof EmbeddedPostgresError ||
    error instanceof MigrationError ||
    error instanceof WrongMasterKeyError
  ) {
    return error.message
  }
  if (isDatabaseAway(error)) {
    return databaseAwayText(error)
  }
  const described = describeError(error)
  const message =
    typeof described === 'object' && described !== null && 'message' in described ? described.message : described
  return `Something unexpected went wrong: ${String(message).replace(/\s+/g, ' ')}`
}
