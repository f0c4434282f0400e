import { describeNotice, listNotices, noticeText } from '../notices/index.js'
import { ownerOf, ownerOption } from './api-key-owner.js'
import { defineCommand, wholeNumber } from './command.js'
import { table, timeText } from './output.js'

const list = defineCommand({
  name: 'notice list',
  summary: 'Show what owners were told about their keys and client secrets',
  description:
    'Reminders to rotate, and keys that leaked; newest first, of the last 90 days. With SMTP_URL they are sent by mail too: to ' +
    'the address of a user, to the contacts of a client. What waits to be sent is in `ostiary outbox list --to mail`.',
  options: {
    owner: { ...ownerOption, description: 'Told to this owner: a user, or a client.' },
    limit: { type: 'string', value: 'NUMBER', description: 'At most so many. Default 100.' },
  },
  examples: ['ostiary notice list', 'ostiary notice list --owner ann@example.com --json'],
  async run({ options, context }) {
    const limit = options.limit === undefined ? undefined : wholeNumber(options.limit, 'limit', 1, 100_000)
    const ctx = await context()
    const owner = options.owner === undefined ? undefined : await ownerOf(ctx, options.owner)
    const notices = await listNotices(ctx, owner, limit)
    const { issuer } = ctx.config.server
    return {
      json: notices.map((notice) => describeNotice(notice, issuer)),
      text: (width) =>
        notices.length === 0
          ? 'There is no such notice.\n'
          : table(
              notices,
              [
                { title: 'TIME', value: ({ createdAt }) => timeText(createdAt) },
                { title: 'KIND', value: ({ kind }) => kind },
                { title: 'OWNER', value: (notice) => `${notice.owner.kind} ${notice.owner.id}`, flexible: true },
                { title: 'NOTICE', value: (notice) => noticeText(notice, issuer).subject, flexible: true },
              ],
              width,
            ),
    }
  },
})

export const noticeCommands = [list]
