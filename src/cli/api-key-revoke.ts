import {
  continueEnd,
  describeApiKey,
  type EndedApiKeys,
  endApiKey,
  endApiKeys,
  type SuccessorApiKey,
} from '../api-keys/index.js'
import type { Context } from '../context.js'
import { NotFoundError } from '../platform/administration-errors.js'
import type { KeySet } from '../revocation/index.js'
import type { ApiKey } from '../store/index.js'
import { ownerOf, ownerOption } from './api-key-owner.js'
import { type Answer, atMostOne, type CommandIo, checkUuid, defineCommand, UsageError } from './command.js'
import { InterruptedError, untilInterrupted } from './interrupt.js'
import { operator } from './operator.js'
import { table, widthOf } from './output.js'

export const keepKey = 'Keep the key now: it is not shown again.\n'

export const revoke = defineCommand({
  name: 'api-key revoke',
  summary: 'End an API key, or many at once',
  description:
    'Acts at once, everywhere. With --replace each gets a successor with the same rights; these are printed this once, ' +
    'as they are made. Where that was broken off, --continue hands out the rest. A key that was rotated already gets no other ' +
    'successor, and a signing key none: make a new key pair, and a new key.',
  words: ['ID?'],
  options: {
    owner: { ...ownerOption, description: 'All keys of this owner.' },
    prefix: { type: 'string', value: 'WORD', description: 'All keys of this prefix.' },
    all: { type: 'boolean', description: 'All keys that there are.' },
    replace: { type: 'boolean', description: 'Hand out successors.' },
    continue: { type: 'string', value: 'ID', description: 'Hand out the successors that an end of many still owes.' },
  },
  examples: [
    'ostiary api-key revoke 0kq3GZb7yXw9TfLm',
    'ostiary api-key revoke --owner ann@example.com --replace --json',
    'ostiary api-key revoke --all',
    'ostiary api-key revoke --continue 0d6c1f5e-8a3b-4f1c-9a44-1f4f9d1d7a20',
  ],
  async run({ io, options, words: [id], json, context }) {
    const { owner, prefix, all, replace = false, continue: end } = options
    atMostOne({ owner, prefix, all, continue: end }, ['owner', 'prefix', 'all', 'continue'])
    const isSet = [owner, prefix, all, end].some((each) => each !== undefined)
    if (isSet === (id !== undefined))
      throw new UsageError('Give the ID of a key, or one of --owner, --prefix, --all and --continue.')
    if (end !== undefined) checkUuid(end, 'continue')
    const ctx = await context()
    if (id !== undefined) {
      const ended = await endApiKey(ctx, id, { cause, replace })
      const [key] = ended.ended
      if (!key) throw new NotFoundError('api-key', `The API key ${id} was over before.`)
      const answer = endedAnswer(ctx, ended)
      if (!replace || key.successor === undefined) return answer
      return { ...answer, warnings: [`It has a successor already, ${key.successor}, and gets no other.`] }
    }
    if (end !== undefined) return printSuccessors(ctx, io, { asked: { end }, json })
    const set = await keySetOf(ctx, { owner, prefix })
    if (replace) return printSuccessors(ctx, io, { asked: set, json })
    const together = await endApiKeys(ctx, set, { cause })
    return endedAnswer(ctx, together, together.isWritten)
  },
})

const cause = { ...operator, reason: 'revoked_by_operator' }

/** Prints successors as they are made: once they are committed, what is not printed is lost. */
async function printSuccessors(
  ctx: Context,
  io: CommandIo,
  { asked, json }: { readonly asked: KeySet | { readonly end: string }; readonly json: boolean },
): Promise<undefined> {
  const printer = json ? jsonPrinter(ctx, io) : textPrinter(io)
  const options = { cause, replace: true, onEnd: printer.begin, onSuccessors: printer.print }
  const { id, ended, needKeyPair, isWritten, isComplete } = await untilInterrupted(io, async (signal) => {
    if (!('end' in asked))
      return unlessUnknown(io, (onBegin) => endApiKeys(ctx, asked, { ...options, onBegin, signal }))
    const { end: id } = asked
    return { id, ended: undefined, isWritten: true, ...(await continueEnd(ctx, id, { ...options, signal })) }
  })
  printer.end({ ended, needKeyPair, isWritten })
  if (isComplete) return
  throw new InterruptedError(
    `All of them have ended, and some have no successor yet. Go on with: ostiary api-key revoke --continue ${id}`,
  )
}

/** Where the answer of the database is lost, the keys may have ended all the same. */
async function unlessUnknown<Result>(
  io: CommandIo,
  end: (onBegin: (endId: string) => void) => Promise<Result>,
): Promise<Result> {
  let begun: string | undefined
  try {
    return await end((endId) => {
      begun = endId
    })
  } catch (error) {
    if (begun !== undefined) {
      io.stderr.write(
        `ostiary: Whether they have ended is not known: ostiary api-key revoke --continue ${begun} hands out the successors, ` +
          'or finds nothing that was ended: then begin again.\n',
      )
    }
    throw error
  }
}

interface Printer {
  readonly begin: (endId: string) => void
  readonly print: (successors: readonly SuccessorApiKey[]) => void
  readonly end: (done: Done) => void
}

interface Done {
  /** Undefined where they ended before. */
  readonly ended: readonly ApiKey[] | undefined
  readonly needKeyPair: readonly string[]
  readonly isWritten: boolean
}

/** One document, whose beginning is there before its end. */
function jsonPrinter(ctx: Context, io: CommandIo): Printer {
  let separator = ''
  return {
    begin(endId) {
      io.stdout.write(`{\n  "end": "${endId}",\n  "successors": [`)
    },
    print(successors) {
      for (const successor of successors) {
        io.stdout.write(`${separator}\n    ${JSON.stringify(described(ctx, successor))}`)
        separator = ','
      }
    },
    end({ ended, needKeyPair }) {
      const last = ended ? `,\n  "ended": ${JSON.stringify(ended.map(({ id }) => id))}` : ''
      io.stdout.write(`${separator && '\n  '}],\n  "need_key_pair": ${JSON.stringify(needKeyPair)}${last}\n}\n`)
    },
  }
}

function textPrinter(io: CommandIo): Printer {
  let count = 0
  return {
    begin(endId) {
      io.stdout.write(
        `They have ended, everywhere. Where this is broken off, ostiary api-key revoke --continue ${endId} goes on.\n`,
      )
    },
    print(successors) {
      const text = successorTable(successors, widthOf(io))
      io.stdout.write(count === 0 ? text : text.slice(text.indexOf('\n') + 1))
      count += successors.length
    },
    end({ ended, needKeyPair, isWritten }) {
      const kept = count === 0 ? '' : 'Keep the keys now: they are not shown again.\n'
      const said = ended ? `${endedText(ended, isWritten)} ` : ''
      io.stdout.write(`${said}Made ${keys(count, 'successor')}.\n${kept}${needKeyPairText(needKeyPair)}`)
    },
  }
}

/** @param isWritten undefined where each ended by itself */
function endedAnswer(ctx: Context, { ended, successors, needKeyPair }: EndedApiKeys, isWritten?: boolean): Answer {
  return {
    json: {
      ended: ended.map(({ id }) => id),
      successors: successors.map((each) => described(ctx, each)),
      need_key_pair: needKeyPair,
      complete: isWritten,
    },
    text: (width) =>
      `${endedText(ended, isWritten)}\n${successors.length === 0 ? '' : successorTable(successors, width) + keepKey}` +
      needKeyPairText(needKeyPair),
  }
}

function needKeyPairText(ids: readonly string[]): string {
  if (ids.length === 0) return ''
  const some = `${keys(ids.length, 'signing key')} got no successor, since whoever has the private half would have that too`
  const how = 'make a new key pair, and a new key by `ostiary api-key create --public-key FILE`'
  return `${some[0]!.toUpperCase()}${some.slice(1)}: ${how}.\n${ids.map((id) => `  ${id}\n`).join('')}`
}

function endedText(ended: readonly ApiKey[], isWritten = true): string {
  if (isWritten) return `Ended ${keys(ended.length, 'API key')}.`
  return `All of them have ended, everywhere. The rows of ${keys(ended.length, 'API key')} say so; the worker writes the rest.`
}

function keys(count: number, noun: string): string {
  return count === 1 ? `one ${noun}` : `${count} ${noun}s`
}

function described(ctx: Context, { key, text, previous }: SuccessorApiKey): Record<string, unknown> {
  return { ...describeApiKey(ctx, key), key: text, previous }
}

function successorTable(successors: readonly SuccessorApiKey[], width: number): string {
  return table(
    successors,
    [
      { title: 'OWNER', value: ({ key }) => key.owner.id, flexible: true },
      { title: 'NAME', value: ({ key }) => key.name, flexible: true },
      { title: 'ID', value: ({ key }) => key.id },
      // Never cut: what is not printed whole is lost.
      { title: 'KEY', value: ({ text }) => text ?? '' },
    ],
    width,
  )
}

async function keySetOf(
  ctx: Context,
  { owner, prefix }: { readonly owner: string | undefined; readonly prefix: string | undefined },
): Promise<KeySet> {
  if (prefix !== undefined) return { kind: 'prefix', prefix }
  return owner === undefined ? { kind: 'all' } : { kind: 'owner', owner: await ownerOf(ctx, owner) }
}
