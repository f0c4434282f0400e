import { readFileSync } from 'node:fs'
import { type Command, commonOptions, type OptionSpec } from './command.js'
import { wrap } from './output.js'

/** What `main.ts` starts by itself. Here for the help alone. */
export const processCommands: readonly { readonly name: string; readonly summary: string; readonly help: string }[] = [
  {
    name: 'start',
    summary: 'Serve, with background jobs: what `npm start` runs',
    help:
      'Serves requests and runs the background jobs, on the embedded database where DATABASE_URL names no other. Settings\n' +
      'come from the environment and .env; .env.example lists them.\n\nOptions:\n' +
      '  --demo  Sets up users, a client and a page to try it out, also without a terminal.\n',
  },
  {
    name: 'serve',
    summary: 'Serve requests alone',
    help: 'Serves requests. The background jobs run elsewhere, by `ostiary work`.\n',
  },
  {
    name: 'work',
    summary: 'Run the background jobs alone',
    help: 'Makes and drops partitions, rotates signing keys and does what else has its time. Beside `ostiary serve`.\n',
  },
]

/** All commands, by group. */
export function overview(commands: readonly Command[], only?: string): string {
  const shown = commands.filter(({ name }) => only === undefined || name.split(' ')[0] === only)
  const entries = [...(only === undefined ? processCommands : []), ...shown]
  const width = Math.max(...entries.map(({ name }) => name.length))
  let group = ''
  const lines = entries.map(({ name, summary }) => {
    const [first = ''] = name.split(' ')
    const isProcess = processCommands.some((command) => command.name === name)
    const key = isProcess ? 'process' : first
    const space = group !== '' && key !== group ? '\n' : ''
    group = key
    return `${space}  ${name.padEnd(width)}  ${summary}\n`
  })
  return (
    `Usage: ostiary ${only ?? ''}${only === undefined ? '' : ' '}COMMAND [OPTIONS]\n\n${lines.join('')}\n` +
    `\`ostiary ${only === undefined ? '' : `${only} `}COMMAND --help\` explains a command.\n`
  )
}

/** One command: usage, options, examples. */
export function helpOf(command: Command): string {
  const words = (command.words ?? []).map((word) => (word.endsWith('?') ? `[${word.slice(0, -1)}]` : word))
  const required = Object.entries(command.options).filter(([, { required }]) => required)
  const usage = [
    'ostiary',
    command.name,
    ...words,
    ...required.map(([name, spec]) => signature(name, spec)),
    '[OPTIONS]',
  ]
  const options = Object.entries({ ...command.options, ...commonOptions } as Readonly<Record<string, OptionSpec>>)
  const width = Math.max(...options.map(([name, spec]) => signature(name, spec).length))
  const rows = options.map(([name, spec]) => {
    const again =
      spec.type === 'string' && spec.multiple && !/^All /.test(spec.description) ? ' May be given again.' : ''
    return `  ${signature(name, spec).padEnd(width)}  ${spec.description}${again}\n`
  })
  return (
    `${command.summary}.\n\nUsage: ${usage.join(' ')}\n` +
    (command.description ? `\n${wrap(command.description, 100)}` : '') +
    `\nOptions:\n${rows.join('')}` +
    `\nExamples:\n${command.examples.map((example) => `  ${example}\n`).join('')}`
  )
}

/** The release, from the package's manifest: its path is the same from `src` and from `dist`. */
export function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown'
}

function signature(name: string, spec: OptionSpec): string {
  return spec.type === 'string' ? `--${name} ${spec.value}` : `--${name}`
}
