import {
  createInitialAccessToken,
  describeInitialAccessToken,
  listInitialAccessTokens,
  revokeInitialAccessToken,
} from '../protocol/registration/index.js'
import { checkUuid, defineCommand, wholeNumber } from './command.js'
import { duration } from './duration.js'
import { operator } from './operator.js'
import { pairs, table, timeText } from './output.js'

const create = defineCommand({
  name: 'registration-token create',
  summary: 'Make a token by which clients register themselves',
  description:
    'With REGISTRATION=token whoever sends it to POST /register as a Bearer token may register as many clients as it has ' +
    'uses (RFC 7591 §3). The token is printed this once.',
  options: {
    name: { type: 'string', value: 'TEXT', description: 'What it is for.' },
    uses: { type: 'string', value: 'NUMBER', description: 'How many clients. Default 1.' },
    expires: { type: 'string', value: 'DURATION', description: 'How long it is good, such as 30d. Default 7d.' },
  },
  examples: [
    'ostiary registration-token create --name "Partner portal" --uses 50 --expires 30d',
    'ostiary registration-token create --json',
  ],
  async run({ options, context }) {
    const maxUses = options.uses === undefined ? 1 : wholeNumber(options.uses, 'uses', 1, 1_000_000)
    const lifetime = duration(options.expires ?? '7d', 'expires')
    const ctx = await context()
    const { token, value } = await createInitialAccessToken(ctx, { name: options.name, maxUses, lifetime }, operator)
    return {
      json: { ...describeInitialAccessToken(token), token: value },
      warnings:
        ctx.config.registration.mode === 'off'
          ? ['REGISTRATION is off: nobody registers until it is set to token, or to open.']
          : [],
      text: () =>
        `${pairs([
          ['id', token.id],
          ['token', value],
          ['uses', String(token.maxUses)],
          ['expires', timeText(token.expiresAt)],
        ])}Keep the token now: it is not shown again.\n`,
    }
  },
})

const list = defineCommand({
  name: 'registration-token list',
  summary: 'List the tokens by which clients register themselves',
  examples: ['ostiary registration-token list', 'ostiary registration-token list --json'],
  async run({ context }) {
    const all = await listInitialAccessTokens(await context())
    return {
      json: all.map(describeInitialAccessToken),
      text: (width) =>
        all.length === 0
          ? 'There is no registration token. `ostiary registration-token create` makes one.\n'
          : table(
              all,
              [
                { title: 'ID', value: ({ id }) => id },
                { title: 'NAME', value: ({ name }) => name ?? '', flexible: true },
                { title: 'USED', value: ({ uses, maxUses }) => `${uses} of ${maxUses}` },
                { title: 'EXPIRES', value: ({ expiresAt }) => timeText(expiresAt) },
              ],
              width,
            ),
    }
  },
})

const revoke = defineCommand({
  name: 'registration-token revoke',
  summary: 'End a token by which clients register themselves',
  description: 'The clients that were registered with it stay.',
  words: ['ID'],
  examples: ['ostiary registration-token revoke 0d6c1f5e-8a3b-4f1c-9a44-1f4f9d1d7a20'],
  async run({ words: [id = ''], context }) {
    checkUuid(id, 'id')
    await revokeInitialAccessToken(await context(), id, operator)
    return { json: { id, revoked: true }, text: () => `Revoked the registration token ${id}.\n` }
  },
})

export const registrationTokenCommands = [create, list, revoke]
