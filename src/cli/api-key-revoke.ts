import {
  continueEnd,
  describeApiKey,
  type EndedApiKeys,
  endApiKey,
  endApiKeys,
  findApiKey,
  isOver,
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
import { OutputClosedError, print, table, widthOf } from './output.js'

export const keepKey = 'Keep the key now: it is not shown again.\n'

/** For whoever sees nothing of what was printed. */
export function ifUnseen(made: readonly Pick<ApiKey, 'id'>[]): string {
  return [...idLines('Made, and perhaps seen by nobody:', made), howToRotate].join('\n')
}

function idLines(title: string, keys: readonly Pick<ApiKey, 'id'>[]): readonly string[] {
  return keys.length === 0 ? [] : [title, ...keys.map(({ id }) => `  ${id}`)]
}

const howToRotate = 'Give each whose key is lost a successor, and end it: ostiary api-key rotate ID --overlap 0'

export const revoke = defineCommand({
  name: 'api-key revoke',
  summary: 'End an API key, or many at once',
  description:
    'Acts at once, everywhere. With --replace each gets a successor with the same rights; these are printed this once, ' +
    'as they are made. Where that was broken off, --continue hands out the rest. A key that was rotated already gets no other ' +
    'successor while its own lives, and a signing key none: make a new key pair, and a new key.',
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
      return { ...answer, warnings: [await aboutSuccessor(ctx, key.successor, ended)] }
    }
    if (end !== undefined) return printSuccessors(ctx, io, { asked: { end }, json })
    const set = await keySetOf(ctx, { owner, prefix })
    if (replace) return printSuccessors(ctx, io, { asked: set, json })
    const together = await endApiKeys(ctx, set, { cause })
    return endedAnswer(ctx, together, together.isWritten)
  },
})

const cause = { ...operator, reason: 'revoked_by_operator' }

/** @param id of the one that it had before it was ended */
async function aboutSuccessor(ctx: Context, id: string, { successors: [made] }: EndedApiKeys): Promise<string> {
  if (!isOver(await findApiKey(ctx, id), ctx.clock.now()))
    return `It has a successor already, ${id}, and gets no other.`
  const before = `It had a successor before, ${id}, which is over`
  return made ? `${before}.` : `${before}; it gets no other: ostiary api-key show ${id}`
}

/** Prints successors as they are made: once they are committed, what is not printed is lost. */
async function printSuccessors(
  ctx: Context,
  io: CommandIo,
  { asked, json }: { readonly asked: KeySet | { readonly end: string }; readonly json: boolean },
): Promise<undefined> {
  const printer = untilClosed(json ? jsonPrinter(ctx, io) : textPrinter(io))
  const options = { cause, replace: true, onEnd: printer.begin, onSuccessors: printer.print }
  const { id, ended, needKeyPair, isWritten, isComplete } = await untilInterrupted(io, async (interrupted) => {
    const signal = AbortSignal.any([interrupted, printer.closed])
    if (!('end' in asked))
      return unlessUnknown(io, (onBegin) => endApiKeys(ctx, asked, { ...options, onBegin, signal }))
    const { end: id } = asked
    return { id, ended: undefined, isWritten: true, ...(await continueEnd(ctx, id, { ...options, signal })) }
  })
  await printer.end({ ended, needKeyPair, isWritten })
  const rest = `Go on with: ostiary api-key revoke --continue ${id}`
  if (printer.closed.aborted) {
    throw new OutputClosedError(closedText(printer, { needKeyPair, rest: isComplete ? undefined : rest }))
  }
  if (isComplete) return
  throw new InterruptedError(`All of them have ended, and some have no successor yet. ${rest}`)
}

/** Whoever reads a pipe may be gone with what was written into it: so all that this command made is named. */
function closedText(
  { seen, unseen }: Pick<ClosingPrinter, 'seen' | 'unseen'>,
  { needKeyPair, rest }: { readonly needKeyPair: readonly string[]; readonly rest: string | undefined },
): string {
  const state = rest === undefined ? '.' : `, and some have no successor yet. ${rest}`
  return [
    `Standard output cannot be written any more: nobody reads it. All of them have ended${state}`,
    ...idLines('Made, and not printed:', unseen),
    ...idLines('Printed before that; whether anybody read it is not known here:', seen),
    ...(seen.length + unseen.length > 0 ? [howToRotate] : []),
    needKeyPairText(needKeyPair).trimEnd(),
  ]
    .filter((line) => line !== '')
    .join('\n')
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

/** Each rejects with an `OutputClosedError` where nobody reads any more. */
interface Printer {
  readonly begin: (endId: string) => Promise<void>
  readonly print: (successors: readonly SuccessorApiKey[]) => Promise<void>
  readonly end: (done: Done) => Promise<void>
}

/** Does not reject, and says what became of what was to be printed. */
interface ClosingPrinter extends Printer {
  /** Aborted where nobody reads any more: nothing is made then that nobody sees. */
  readonly closed: AbortSignal
  /** Keys that were written whole, and keys that were not. */
  readonly seen: readonly ApiKey[]
  readonly unseen: readonly ApiKey[]
}

function untilClosed(printer: Printer): ClosingPrinter {
  const stop = new AbortController()
  const seen: ApiKey[] = []
  const unseen: ApiKey[] = []
  async function attempt(write: () => Promise<void>, made: readonly SuccessorApiKey[] = []): Promise<void> {
    try {
      if (!stop.signal.aborted) await write()
    } catch (error) {
      if (!(error instanceof OutputClosedError)) throw error
      stop.abort()
    }
    const heard = stop.signal.aborted ? unseen : seen
    heard.push(...made.map(({ key }) => key))
  }
  return {
    ...{ closed: stop.signal, seen, unseen },
    begin: (endId) => attempt(() => printer.begin(endId)),
    print: (successors) => attempt(() => printer.print(successors), successors),
    end: (done) => attempt(() => printer.end(done)),
  }
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
    begin: (endId) => print(io, `{\n  "end": "${endId}",\n  "successors": [`),
    print(successors) {
      const items = successors.map((successor) => `\n    ${JSON.stringify(described(ctx, successor))}`)
      const text = `${separator}${items.join(',')}`
      separator = ','
      return print(io, text)
    },
    end({ ended, needKeyPair }) {
      const last = ended ? `,\n  "ended": ${JSON.stringify(ended.map(({ id }) => id))}` : ''
      return print(io, `${separator && '\n  '}],\n  "need_key_pair": ${JSON.stringify(needKeyPair)}${last}\n}\n`)
    },
  }
}

function textPrinter(io: CommandIo): Printer {
  let count = 0
  return {
    begin(endId) {
      return print(
        io,
        `They have ended, everywhere. Where this is broken off, ostiary api-key revoke --continue ${endId} goes on.\n`,
      )
    },
    print(successors) {
      const text = successorTable(successors, widthOf(io))
      const rows = count === 0 ? text : text.slice(text.indexOf('\n') + 1)
      count += successors.length
      return print(io, rows)
    },
    end({ ended, needKeyPair, isWritten }) {
      const kept = count === 0 ? '' : 'Keep the keys now: they are not shown again.\n'
      const said = ended ? `${endedText(ended, isWritten)} ` : ''
      return print(io, `${said}Made ${keys(count, 'successor')}.\n${kept}${needKeyPairText(needKeyPair)}`)
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
    ...(successors.length > 0 ? { ifUnseen: ifUnseen(successors.map(({ key }) => key)) } : {}),
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
