import { findClient } from '../clients/index.js'
import { findUser } from '../identity/index.js'
import { NotFoundError } from '../platform/administration-errors.js'
import { revokeTokenValue } from '../protocol/revocation/index.js'
import { revoke } from '../revocation/index.js'
import { grants, sessions } from '../store/index.js'
import { type Answer, checkUuid, defineCommand, exactlyOne } from './command.js'
import { readSecretLine } from './input.js'
import { endedText } from './key.js'
import { operator } from './operator.js'

const cause = { ...operator, reason: 'revoked_by_operator' }

const revokeCommand = defineCommand({
  name: 'revoke',
  summary: 'Take back a token, a grant, a session, a signing key, or all that a client or a user has',
  description:
    'Takes effect at once, at every process. A client or user that is revoked can get new tokens; `client disable` and ' +
    '`user disable` stop that too.',
  options: {
    token: {
      type: 'string',
      value: 'TOKEN|-',
      description:
        'An access or refresh token; - reads it from standard input, which keeps it out of the list of processes.',
    },
    grant: { type: 'string', value: 'ID', description: 'What a user allowed a client: grant_id in its tokens.' },
    session: { type: 'string', value: 'ID', description: 'A login at a browser: sid in its tokens.' },
    client: { type: 'string', value: 'CLIENT_ID', description: 'All that was issued to it until now.' },
    user: { type: 'string', value: 'ID|EMAIL', description: 'Their sessions, grants and tokens.' },
    key: {
      type: 'string',
      value: 'KID',
      description: 'A signing key that may be in wrong hands, and all that it signed. Another signs from now on.',
    },
  },
  examples: [
    'ostiary revoke --token - < token.txt',
    'ostiary revoke --client shop',
    'ostiary revoke --user ann@example.com',
  ],
  async run({ io, options, context }) {
    const kind = exactlyOne(options, ['token', 'grant', 'session', 'client', 'user', 'key'])
    const given = options[kind] ?? ''
    switch (kind) {
      case 'token': {
        const token = given === '-' ? await readSecretLine(io, 'the token') : given
        const ctx = await context()
        if ((await revokeTokenValue(ctx, token.trim(), cause)) === 'unknown') {
          throw new NotFoundError('token', 'The token is unknown, has expired or was revoked before.')
        }
        return answer(kind, undefined, 'Revoked the token.')
      }
      case 'grant': {
        checkUuid(given, kind)
        const ctx = await context()
        const grant = await grants.findById(ctx.db, given)
        if (!grant) throw new NotFoundError(kind, `There is no grant ${given}.`)
        await revoke(ctx, { kind, id: given, ...grant }, cause)
        return answer(kind, given, `Revoked the grant ${given}. Its refresh and access tokens ended.`)
      }
      case 'session': {
        checkUuid(given, kind)
        const ctx = await context()
        const session = await sessions.findById(ctx.db, given)
        if (!session) throw new NotFoundError(kind, `There is no session ${given}.`)
        await revoke(ctx, { kind, id: given, ...session }, cause)
        return answer(kind, given, `Revoked the session ${given}. Its user is signed out there.`)
      }
      case 'client': {
        const ctx = await context()
        const { clientId } = await findClient(ctx, given)
        await revoke(ctx, { kind, clientId }, cause)
        return answer(kind, clientId, `Revoked all that was issued to the client ${clientId}.`)
      }
      case 'user': {
        const ctx = await context()
        const { id, email } = await findUser(ctx, given)
        await revoke(ctx, { kind, userId: id }, cause)
        return answer(kind, id, `Revoked the sessions, grants and tokens of ${email}.`)
      }
      case 'key': {
        const ctx = await context()
        const ended = await ctx.keys.end([given], operator)
        if (ended.length === 0) throw new NotFoundError(kind, `There is no signing key ${given}.`)
        return answer(kind, given, endedText(ended))
      }
    }
  },
})

export const revokeCommands = [revokeCommand]

function answer(kind: string, id: string | undefined, sentence: string): Answer {
  return { json: { revoked: kind, id }, text: () => `${sentence}\n` }
}
