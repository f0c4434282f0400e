import { NotFoundError } from '../platform/administration-errors.js'
import { outbox, type WaitingMessage } from '../store/index.js'
import { checkUuid, defineCommand, exactlyOne, wholeNumber } from './command.js'
import { table, timeText } from './output.js'

const to = {
  type: 'string',
  value: 'URL|CLIENT_ID',
  description: 'Those to this address, as it stands in the settings, or of logouts to this client.',
} as const

const list = defineCommand({
  name: 'outbox list',
  summary: 'Show what waits to be delivered, and why',
  description:
    'Nothing waits where everything gets through. A message that fails is tried again, with pauses of up to ten minutes, ' +
    'until it is seven days old and was tried twenty times, or nothing got through to its receiver for an hour; what was ' +
    'given up is in `ostiary audit list --type outbox`.',
  options: {
    to,
    limit: { type: 'string', value: 'NUMBER', description: 'At most so many. Default 100.' },
  },
  examples: ['ostiary outbox list', 'ostiary outbox list --to https://receiver.example.com/events --json'],
  async run({ options, context }) {
    const limit = options.limit === undefined ? 100 : wholeNumber(options.limit, 'limit', 1, 100_000)
    const ctx = await context()
    const { messages, total } = await outbox.list(ctx.db, { destination: options.to, limit })
    const now = ctx.clock.now()
    return {
      json: { total, messages: messages.map((message) => describeMessage(message, now)) },
      text: (width) =>
        total === 0 ? 'Nothing waits.\n' : `${messageTable(messages, now, width)}${more(total, limit)}`,
    }
  },
})

const retry = defineCommand({
  name: 'outbox retry',
  summary: 'Deliver now what waits for its next attempt',
  description:
    'For when a receiver is back, or its credential was mended. The process that runs the background jobs does it at once, ' +
    'also where a receiver has asked by Retry-After to be left alone.',
  options: {
    id: { type: 'string', value: 'ID', description: 'This message.' },
    to,
    all: { type: 'boolean', description: 'Everything that waits.' },
  },
  examples: ['ostiary outbox retry --all', 'ostiary outbox retry --to https://receiver.example.com/events'],
  async run({ options, context }) {
    exactlyOne(options, ['id', 'to', 'all'])
    if (options.id !== undefined) checkUuid(options.id, 'id')
    const ctx = await context()
    const count = await outbox.retry(ctx.db, { id: options.id, destination: options.to }, ctx.clock.now())
    if (options.id !== undefined && count === 0) {
      throw new NotFoundError('message', `No message ${options.id} waits. \`ostiary outbox list\` shows what does.`)
    }
    return {
      json: { due: count },
      text: () =>
        count === 0 ? 'Nothing waits.\n' : `${count === 1 ? 'One message is' : `${count} messages are`} due now.\n`,
    }
  },
})

export const outboxCommands = [list, retry]

function stateOf({ claimedUntil }: WaitingMessage, now: Date): 'waits' | 'under way' {
  return claimedUntil && claimedUntil > now ? 'under way' : 'waits'
}

function describeMessage(message: WaitingMessage, now: Date): Record<string, unknown> {
  return {
    id: message.id,
    kind: message.kind,
    destination: message.destination,
    state: stateOf(message, now),
    created_at: message.createdAt.toISOString(),
    attempts: message.attempts,
    next_attempt_at: message.nextAttemptAt.toISOString(),
    last_error: message.lastError,
    payload: message.payload,
  }
}

function messageTable(messages: readonly WaitingMessage[], now: Date, width: number): string {
  return table(
    messages,
    [
      { title: 'MESSAGE', value: ({ id }) => id, flexible: true },
      { title: 'KIND', value: ({ kind }) => kind },
      { title: 'TO', value: ({ destination }) => destination, flexible: true },
      { title: 'SINCE', value: ({ createdAt }) => timeText(createdAt) },
      { title: 'STATE', value: (message) => stateOf(message, now) },
      { title: 'TRIED', value: ({ attempts }) => String(attempts) },
      { title: 'NEXT', value: ({ nextAttemptAt }) => timeText(nextAttemptAt) },
      { title: 'WHY', value: ({ lastError }) => lastError ?? '', flexible: true },
    ],
    width,
  )
}

function more(total: number, limit: number): string {
  return total > limit ? `\n${total - limit} more wait; --limit shows them.\n` : ''
}
