import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type CommandIo, UsageError } from './command.js'

/** More than any metadata, password or token has. */
const maxBytes = 1_048_576

/** Something that was to be read cannot be. */
export class InputError extends Error {
  override readonly name = 'InputError'
}

/** All of standard input. @throws {InputError} when it is too long or not UTF-8 */
export async function readStdin({ stdin, stderr }: CommandIo, what: string): Promise<string> {
  if (stdin.isTTY)
    stderr.write(`Reading ${what} from the terminal, where it shows; end it with Ctrl-D on a new line.\n`)
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk)
    length += bytes.length
    if (length > maxBytes) throw new InputError(`Standard input is longer than ${maxBytes} bytes.`)
    chunks.push(bytes)
  }
  return decode(Buffer.concat(chunks), 'Standard input')
}

/** One secret on standard input, without the line break behind it. @throws {InputError} */
export async function readSecretLine(io: CommandIo, what: string): Promise<string> {
  const text = (await readStdin(io, what)).replace(/\r?\n$/, '')
  if (text === '') throw new InputError(`Standard input is empty: ${what} was expected there.`)
  if (/[\r\n]/.test(text)) throw new InputError(`Standard input has more than one line: ${what} alone was expected.`)
  return text
}

/** The JSON object in a file, or on standard input for `-`. @throws {InputError} */
export async function readJsonObject(io: CommandIo, path: string, option: string): Promise<Record<string, unknown>> {
  const name = path === '-' ? 'Standard input' : path
  const text = path === '-' ? await readStdin(io, 'JSON') : await readTextFile(io, path, option)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    // The message of JSON.parse repeats what it read, which may be a secret.
    const position = /at position \d+(?: \(line \d+ column \d+\))?/.exec(error instanceof Error ? error.message : '')
    throw new InputError(`${name} is not JSON${position ? ` (${position[0]})` : ''}.`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InputError(`${name} is not one JSON object.`)
  }
  return value as Record<string, unknown>
}

async function readTextFile(io: CommandIo, path: string, option: string): Promise<string> {
  if (path === '') throw new UsageError(`--${option} is empty.`)
  try {
    const bytes = await readFile(resolve(io.folder ?? process.cwd(), path))
    if (bytes.length > maxBytes) throw new InputError(`${path} is longer than ${maxBytes} bytes.`)
    return decode(bytes, path)
  } catch (error) {
    if (error instanceof InputError) throw error
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new InputError(`${path} cannot be read (${code}). Name a readable file, or - for standard input.`)
  }
}

function decode(bytes: Buffer, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new InputError(`${name} is not UTF-8.`)
  }
}
