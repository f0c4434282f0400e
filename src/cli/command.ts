import { parseArgs } from 'node:util'
import type { Context } from '../context.js'
import { nearest } from '../platform/config/edit-distance.js'

/** The world outside a command. */
export interface CommandIo {
  readonly stdout: {
    /** @param done hears that it was written, or why not */
    write(text: string, done?: (error?: Error | null) => void): unknown
    /** Whether a person reads it: then tables fit its width. */
    readonly isTTY?: boolean | undefined
    readonly columns?: number | undefined
  }
  readonly stderr: { write(text: string): unknown }
  readonly stdin: AsyncIterable<Buffer | string> & {
    readonly isTTY?: boolean | undefined
    /** Of a terminal: nothing that is typed shows. */
    readonly setRawMode?: (raw: boolean) => unknown
  }
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where `.env` is looked for, and relative paths begin. Default: the working directory. */
  readonly folder?: string | undefined
  /** Ends a command that would run on, such as `audit list --follow`. */
  readonly signal?: AbortSignal | undefined
}

interface OptionBase {
  readonly description: string
  readonly required?: boolean
}

export interface FlagSpec extends OptionBase {
  readonly type: 'boolean'
}

export interface ValueSpec extends OptionBase {
  readonly type: 'string'
  /** What stands for the value in the help. */
  readonly value: string
  readonly multiple?: boolean
}

export type OptionSpec = FlagSpec | ValueSpec
export type OptionSpecs = Readonly<Record<string, OptionSpec>>

/** What was given, by the names of the options. */
export type OptionValues<Specs extends OptionSpecs> = {
  readonly [Name in keyof Specs]?: Specs[Name] extends FlagSpec
    ? boolean
    : Specs[Name] extends { readonly multiple: true }
      ? readonly string[]
      : string
}

/** What a command says: one JSON document, or the same for people. Exactly one of the two is printed. */
export interface Answer {
  readonly json: unknown
  readonly text: (width: number) => string
  /** Sentences for standard error. */
  readonly warnings?: readonly string[]
  /** What is to be done where nobody reads what is printed. */
  readonly ifUnseen?: string
}

export interface Invocation<Specs extends OptionSpecs = OptionSpecs> {
  readonly io: CommandIo
  readonly options: OptionValues<Specs>
  readonly words: readonly string[]
  readonly json: boolean
  /** Opens configuration and database; whoever runs the command closes them. */
  readonly context: () => Promise<Context>
}

export interface CommandDefinition<Specs extends OptionSpecs> {
  /** One or two words. */
  readonly name: string
  readonly summary: string
  /** More about it, for the help. */
  readonly description?: string
  /** Names of the arguments; one that ends in `?` may be missing. */
  readonly words?: readonly string[]
  readonly options?: Specs
  readonly examples: readonly string[]
  /** Undefined: it has printed by itself. */
  readonly run: (invocation: Invocation<Specs>) => Promise<Answer | undefined>
}

/** A command of any options, as the list of them holds it. */
export interface Command extends Omit<CommandDefinition<OptionSpecs>, 'run'> {
  readonly options: OptionSpecs
  readonly run: (invocation: Invocation) => Promise<Answer | undefined>
}

export function defineCommand<const Specs extends OptionSpecs = Record<never, OptionSpec>>(
  definition: CommandDefinition<Specs>,
): Command {
  return {
    ...definition,
    options: definition.options ?? {},
    // What was read by these very options has their types.
    run: (invocation) => definition.run(invocation as Invocation<Specs>),
  }
}

/** The command line cannot be understood: exit status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Options that every command has. */
export const commonOptions = {
  json: { type: 'boolean', description: 'Print one JSON document, and nothing else.' },
  help: { type: 'boolean', description: 'Show this help.' },
} as const satisfies OptionSpecs

export interface ParsedArguments {
  readonly options: Readonly<Record<string, unknown>>
  readonly words: readonly string[]
  readonly json: boolean
  readonly help: boolean
}

/** @throws {UsageError} which says what was probably meant */
export function parseArguments(command: Command, args: readonly string[]): ParsedArguments {
  const specs: OptionSpecs = { ...command.options, ...commonOptions }
  // Not strict: our own messages say more than those of node:util.
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(specs).map(([name, spec]) => [
        name,
        name === 'help' ? { type: spec.type, short: 'h' } : { type: spec.type },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const options: Record<string, unknown> = {}
  const words: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value)
    if (token.kind !== 'option') continue
    const spec = Object.hasOwn(specs, token.name) ? specs[token.name] : undefined
    if (!spec) throw unknownOption(token.rawName, Object.keys(specs))
    if (spec.type === 'boolean') {
      if (token.value !== undefined) throw new UsageError(`--${token.name} takes no value.`)
      options[token.name] = true
      continue
    }
    if (token.value === undefined || (!token.inlineValue && /^-./.test(token.value))) {
      throw new UsageError(
        `--${token.name} needs a value: --${token.name} ${spec.value}; one that begins with - as --${token.name}=${spec.value}.`,
      )
    }
    if (spec.multiple) {
      const known = options[token.name]
      options[token.name] = [...(Array.isArray(known) ? known : []), token.value]
    } else {
      if (token.name in options) throw new UsageError(`--${token.name} is given twice.`)
      options[token.name] = token.value
    }
  }
  const { json = false, help = false, ...rest } = options
  if (help !== true) checkComplete(command, rest, words)
  return { options: rest, words, json: json === true, help: help === true }
}

function checkComplete(command: Command, options: Readonly<Record<string, unknown>>, words: readonly string[]): void {
  const names = command.words ?? []
  const surplus = words[names.length]
  if (surplus !== undefined) throw new UsageError(`${JSON.stringify(surplus)} is one argument too many.`)
  const missing = names.slice(words.length).find((name) => !name.endsWith('?'))
  if (missing !== undefined) throw new UsageError(`${missing} is missing.`)
  for (const [name, spec] of Object.entries(command.options)) {
    if (!spec.required || name in options) continue
    throw new UsageError(`--${name}${spec.type === 'string' ? ` ${spec.value}` : ''} is missing.`)
  }
}

function unknownOption(name: string, known: readonly string[]): UsageError {
  const shown = JSON.stringify(name.slice(0, 80)).slice(1, -1)
  const suggestion = closest(name.replace(/^-+/, ''), known)
  return new UsageError(`The option ${shown} is unknown.${suggestion ? ` Did you mean --${suggestion}?` : ''}`)
}

/** The name that was probably meant, if any is close. */
export function closest(name: string, names: readonly string[]): string | undefined {
  if (name.length > 80 || names.length === 0) return undefined
  const best = nearest(name, names)
  return best.distance <= Math.max(1, Math.floor(name.length / 3)) ? best.name : undefined
}

/** @throws {UsageError} unless exactly one of the options is given */
export function exactlyOne<Name extends string>(
  options: Readonly<Partial<Record<Name, unknown>>>,
  names: readonly Name[],
): Name {
  const given = names.filter((name) => options[name] !== undefined)
  const [only] = given
  if (given.length === 1 && only !== undefined) return only
  const list = names.map((name) => `--${name}`).join(', ')
  throw new UsageError(given.length === 0 ? `One of ${list} is missing.` : `Give one of ${list}, not several.`)
}

/** @throws {UsageError} when several of the options are given */
export function atMostOne(options: Readonly<Record<string, unknown>>, names: readonly string[]): void {
  const given = names.filter((name) => options[name] !== undefined)
  if (given.length > 1) throw new UsageError(`Give one of ${given.map((name) => `--${name}`).join(' and ')}, not both.`)
}

/** @throws {UsageError} */
export function checkUuid(text: string, option: string): void {
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return
  throw new UsageError(`--${option} is not an id, such as 0d6c1f5e-8a3b-4f1c-9a44-1f4f9d1d7a20.`)
}

/** A whole number. @throws {UsageError} */
export function wholeNumber(text: string, option: string, minimum = 0, maximum = Number.MAX_SAFE_INTEGER): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (value >= minimum && value <= maximum) return value
  const bounds = maximum === Number.MAX_SAFE_INTEGER ? '' : ` from ${minimum} to ${maximum}`
  throw new UsageError(`--${option} is not a whole number${bounds}.`)
}

/** `name=value`. @throws {UsageError} */
export function assignment(text: string, option: string): readonly [name: string, value: string] {
  const at = text.indexOf('=')
  if (at < 1) throw new UsageError(`--${option} is not NAME=VALUE.`)
  return [text.slice(0, at), text.slice(at + 1)]
}
