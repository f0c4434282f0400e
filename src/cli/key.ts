import type { Context } from '../context.js'
import type { SigningKey } from '../tokens/index.js'
import { defineCommand, UsageError } from './command.js'
import { operator } from './operator.js'
import { table, timeText } from './output.js'

const list = defineCommand({
  name: 'key list',
  summary: 'List the signing keys that are published',
  examples: ['ostiary key list', 'ostiary key list --json'],
  async run({ context }) {
    const ctx = await context()
    return { json: described(ctx), text: (width) => keyTable(ctx, width) }
  },
})

const rotateOptions = {
  now: {
    type: 'boolean',
    description: 'The new keys sign at once. What the old ones signed stays good until it expires.',
  },
  revoke: {
    type: 'boolean',
    description: 'With --now: ends the old keys, which may be in wrong hands, and all that they signed.',
  },
} as const

const rotate = defineCommand({
  name: 'key rotate',
  summary: 'Bring in the successors of the signing keys',
  description:
    'The new keys are published now and sign when every verifier has had time to fetch them ' +
    '(SIGNING_KEY_PUBLISH_BEFORE). The old ones stay published until the last token that they signed has expired.',
  options: rotateOptions,
  examples: ['ostiary key rotate', 'ostiary key rotate --now', 'ostiary key rotate --now --revoke'],
  async run({ options, context }) {
    if (options.revoke && !options.now)
      throw new UsageError('--revoke goes with --now: without its keys the server must sign with others.')
    const ctx = await context()
    if (options.revoke) {
      const ended = await ctx.keys.end(undefined, operator)
      await ctx.revocations.refresh()
      return {
        json: { revoked: ended, keys: described(ctx) },
        text: (width) => `${endedText(ended)}\n\n${keyTable(ctx, width)}`,
      }
    }
    const before = new Map(ctx.keys.list().map((key) => [key.kid, key.activeAt.getTime()]))
    const made = await ctx.keys.rotate(options.now ? 'now' : 'next', operator)
    const changed = ctx.keys.list().filter(({ kid, activeAt }) => before.get(kid) !== activeAt.getTime())
    return {
      json: { created: made, keys: described(ctx) },
      text: (width) => {
        const headline =
          changed.length === 0
            ? 'Every key has a successor that waits to sign. `ostiary key rotate --now` makes them sign at once.'
            : options.now
              ? 'The new keys sign from now on. Verifiers fetch the JWKS again when they meet a key that they do not know.'
              : `The new keys are published, and sign from ${timeText(changed[0]?.activeAt)} on.`
        return `${headline}\n\n${keyTable(ctx, width)}`
      },
    }
  },
})

/** What an operator must know of keys that ended. */
export function endedText(kids: readonly string[]): string {
  return (
    `Ended ${kids.join(', ')}. What they signed is refused by introspection now, and by APIs that follow the revocations.\n` +
    'An API that knows the keys by the JWKS alone goes on until it fetches that again.'
  )
}

export const keyCommands = [list, rotate]

type State = 'waits' | 'signs' | 'retired'

function stateOf({ activeAt, retiredAt }: SigningKey, now: Date): State {
  if (retiredAt && retiredAt <= now) return 'retired'
  return activeAt > now ? 'waits' : 'signs'
}

function described(ctx: Context): readonly Record<string, unknown>[] {
  const now = ctx.clock.now()
  return ctx.keys.list().map((key) => ({
    kid: key.kid,
    alg: key.alg,
    state: stateOf(key, now),
    created_at: key.createdAt.toISOString(),
    active_at: key.activeAt.toISOString(),
    retired_at: key.retiredAt?.toISOString(),
    expires_at: key.expiresAt?.toISOString(),
  }))
}

function keyTable(ctx: Context, width: number): string {
  const now = ctx.clock.now()
  return table(
    ctx.keys.list(),
    [
      { title: 'KEY', value: ({ kid }) => kid, flexible: true },
      { title: 'ALG', value: ({ alg }) => alg },
      { title: 'STATE', value: (key) => stateOf(key, now) },
      { title: 'SIGNS FROM', value: ({ activeAt }) => timeText(activeAt) },
      { title: 'UNTIL', value: ({ retiredAt }) => timeText(retiredAt) },
      { title: 'PUBLISHED UNTIL', value: ({ expiresAt }) => timeText(expiresAt) },
    ],
    width,
  )
}
