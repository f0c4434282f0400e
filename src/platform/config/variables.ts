import { readFileSync } from 'node:fs'
import { Kind, type Static, type TObject, type TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'

/** What is wrong with one variable, and what to do about it. Never holds the value of a secret. */
export interface Problem {
  readonly variable: string
  readonly problem: string
  readonly advice: string
}

/** The configuration cannot be used. Carries every problem that was found, not the first. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    const lines = problems.map(({ variable, problem, advice }) => `  ${variable} ${problem}. ${advice}`)
    super(
      `The configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${lines.join('\n')}`,
    )
    this.problems = problems
  }
}

/**
 * What a schema of a section may say besides JSON Schema's own words. The key names the variable in capitals; `variable`
 * is for a key that would be too short a name outside its section.
 */
interface Annotations {
  readonly variable?: string
  /** May come from a file too, named by `…_FILE`; is never repeated in a message. */
  readonly secret?: boolean
  /** The greatest value that keeps a promise of `SECURITY.md`; beyond it the start warns, and says what is lost. */
  readonly weakerAbove?: number
  readonly weakness?: string
  /** What a text must be that has a `pattern`, as it follows "Set it to". */
  readonly shape?: string
}

/** One variable, as documentation shows it. */
export interface Variable {
  readonly name: string
  readonly section: string
  readonly description: string
  /** As it would be written in `.env`; undefined where there is none or it follows from other variables. */
  readonly default: string | undefined
  readonly minimum: number | undefined
  readonly maximum: number | undefined
  /** The permitted words, where it is a choice. */
  readonly choices: readonly string[] | undefined
  /** A secret may also be read from the file that `fileVariable` names. */
  readonly secret: boolean
  readonly fileVariable: string | undefined
}

/** What the sections read from and report to. */
export interface Source {
  /** The value of a variable, the environment before `.env`; an empty one counts as absent. */
  text(name: string): string | undefined
  refuse(variable: string, problem: string, advice: string): void
  warn(message: string): void
}

/** The variables of one section. */
export function variablesOf(section: string, schema: TObject): readonly Variable[] {
  return Object.entries(schema.properties).map(([key, property]) => {
    const annotations = annotationsOf(property)
    const name = nameOf(key, property)
    return {
      name,
      section,
      description: property.description ?? '',
      default: property.default === undefined ? undefined : String(property.default),
      minimum: property.minimum,
      maximum: property.maximum,
      choices: choicesOf(property),
      secret: annotations.secret === true,
      fileVariable: annotations.secret === true ? `${name}_FILE` : undefined,
    }
  })
}

/**
 * Reads one section. A value that cannot be used is reported and replaced by the default, so that reading goes on and
 * finds the other problems too.
 */
export function readSection<T extends TObject>(source: Source, schema: T): Static<T> {
  const values: Record<string, unknown> = {}
  for (const [key, property] of Object.entries(schema.properties)) {
    const value = readVariable(source, nameOf(key, property), property) ?? property.default
    if (value !== undefined) values[key] = value
  }
  // Each value was checked by itself; this is where the object gets its type.
  if (!Value.Check(schema, values)) throw new TypeError('a section of the configuration has a default that it forbids')
  return values
}

function readVariable(source: Source, name: string, schema: TSchema): string | number | undefined {
  const annotations = annotationsOf(schema)
  const text = annotations.secret ? secretText(source, name) : source.text(name)
  if (text === undefined) return undefined

  if (schema[Kind] === 'Integer') return readInteger(source, name, schema, text)
  const choices = choicesOf(schema)
  if (choices && !choices.includes(text)) {
    source.refuse(name, `is ${quote(text)}`, `Set it to one of ${choices.join(', ')}.`)
    return undefined
  }
  if (!Value.Check(schema, text)) {
    source.refuse(name, `is ${quote(text)}`, `Set it to ${annotations.shape}.`)
    return undefined
  }
  return text
}

function readInteger(source: Source, name: string, schema: TSchema, text: string): number | undefined {
  const { minimum, maximum } = schema
  const { weakerAbove, weakness } = annotationsOf(schema)
  const range = `from ${minimum} to ${maximum}`
  if (!/^\d{1,15}$/.test(text)) {
    source.refuse(
      name,
      `is ${quote(text)}, which is not a whole number`,
      `Set it to a number ${range}, without a unit.`,
    )
    return undefined
  }
  const value = Number(text)
  if (value < minimum || value > maximum) {
    source.refuse(name, `is ${value}, which is out of bounds`, `Set it to a number ${range}.`)
    return undefined
  }
  if (weakerAbove !== undefined && value > weakerAbove) {
    source.warn(`${name} is ${value}, more than ${weakerAbove}: ${weakness}`)
  }
  return value
}

/** A secret itself, or the content of the file that `NAME_FILE` names, without its last line break. */
function secretText(source: Source, name: string): string | undefined {
  const direct = source.text(name)
  const file = source.text(`${name}_FILE`)
  if (file === undefined) return direct
  if (direct !== undefined) {
    source.refuse(name, `and ${name}_FILE are both set`, 'Keep one of them.')
    return undefined
  }
  const content = readable(source, `${name}_FILE`, file)
    ?.toString('utf8')
    .replace(/\r?\n$/, '')
  if (content === '') {
    source.refuse(`${name}_FILE`, `names ${quote(file)}, which is empty`, 'Write the secret into that file.')
    return undefined
  }
  return content
}

/** The content of the file that a variable names, or undefined after reporting why not. */
export function readable(source: Source, variable: string, path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    source.refuse(variable, `names ${quote(path)}, which cannot be read (${code})`, whatToDoAbout(code))
    return undefined
  }
}

function whatToDoAbout(code: string): string {
  if (code === 'ENOENT') return 'Create the file or correct the path; a relative path starts at the working directory.'
  if (code === 'EACCES') return 'Let the account that runs the server read it.'
  return 'Name a readable file.'
}

/** A value in a message: short, on one line, and visibly a value. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}

/** `accessTokenLifetime` is ACCESS_TOKEN_LIFETIME, unless the schema names it otherwise. */
function nameOf(key: string, schema: TSchema): string {
  const { variable } = annotationsOf(schema)
  return variable ?? key.replace(/[A-Z]/g, (capital) => `_${capital}`).toUpperCase()
}

function annotationsOf({ variable, secret, weakerAbove, weakness, shape }: TSchema): Annotations {
  return { variable, secret, weakerAbove, weakness, shape }
}

function choicesOf(schema: TSchema): readonly string[] | undefined {
  if (schema[Kind] !== 'Union') return undefined
  const members: readonly TSchema[] = schema.anyOf
  return members.map((member) => String(member.const))
}
