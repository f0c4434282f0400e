import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { shortestPassphrase } from '../platform/crypto/passphrase.js'
import { atMostOne, type CommandIo, type OptionSpecs, type OptionValues, UsageError } from './command.js'
import { InputError, readSecretLine } from './input.js'

/** Never as an argument: other accounts of the machine read those. */
export const passphraseOptions = {
  'passphrase-file': { type: 'string', value: 'FILE', description: 'Reads the passphrase from a file.' },
  'passphrase-stdin': {
    type: 'boolean',
    description: 'Reads it from standard input. Else a terminal is asked for it.',
  },
} as const satisfies OptionSpecs

/**
 * The passphrase from where the options say, or from a person at a terminal, where it does not show.
 *
 * @param isNew asked for twice, and not too short
 * @throws {UsageError} where there is neither {InputError}
 */
export async function readPassphrase(
  io: CommandIo,
  options: OptionValues<typeof passphraseOptions>,
  isNew: boolean,
): Promise<string> {
  atMostOne(options, ['passphrase-file', 'passphrase-stdin'])
  const passphrase = await read(io, options, isNew)
  if (passphrase === '') throw new InputError('The passphrase is empty.')
  if (isNew && [...passphrase].length < shortestPassphrase) {
    throw new InputError(`The passphrase is shorter than ${shortestPassphrase} characters.`)
  }
  return passphrase
}

async function read(io: CommandIo, options: OptionValues<typeof passphraseOptions>, isNew: boolean): Promise<string> {
  const path = options['passphrase-file']
  if (path !== undefined) {
    try {
      return (await readFile(resolve(io.folder ?? process.cwd(), path), 'utf8')).replace(/\r?\n$/, '')
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
      throw new InputError(`${path} cannot be read (${code}).`)
    }
  }
  if (options['passphrase-stdin']) return readSecretLine(io, 'the passphrase')
  if (!io.stdin.isTTY || !io.stdin.setRawMode) {
    throw new UsageError('The passphrase is missing: --passphrase-file FILE or --passphrase-stdin.')
  }
  const passphrase = await askHidden(io, 'Passphrase: ')
  if (isNew && (await askHidden(io, 'Once more: ')) !== passphrase) throw new InputError('The two differ.')
  return passphrase
}

/** One line from a terminal that shows nothing of it. */
async function askHidden({ stdin, stderr }: CommandIo, question: string): Promise<string> {
  stderr.write(question)
  stdin.setRawMode?.(true)
  const reader = stdin[Symbol.asyncIterator]()
  let text = ''
  try {
    for (;;) {
      const { done, value } = await reader.next()
      if (done) throw new InputError('The terminal was closed.')
      for (const character of Buffer.from(value).toString('utf8')) {
        if (character === '\r' || character === '\n') return text
        if (character === '\u0003' || character === '\u0004') throw new InputError('Interrupted.')
        if (character === '\u007f' || character === '\b') text = [...text].slice(0, -1).join('')
        else text += character
      }
    }
  } finally {
    stdin.setRawMode?.(false)
    stderr.write('\n')
  }
}
