import type { Context } from '../context.js'
import { normaliseEmail } from '../identity/index.js'
import type { Call, Outcome } from '../platform/delivery.js'
import { sendMail } from '../platform/mail.js'
import { type Message, notices, settings } from '../store/index.js'
import { noticeText } from './text.js'

/**
 * Says in the database whether notices are sent by mail from now on, whichever process writes them. By whoever delivers, at
 * its start.
 */
export async function nameDestinations({ db, config }: Context): Promise<void> {
  await settings.put(db, 'notice_destinations', config.mail.smtp ? [notices.destination] : [])
}

/**
 * Sends a notice by mail: to the address of a user, or to the contacts of a client. These are read now, and not when the notice
 * was written: an address that was changed meanwhile is another's, and none stands in the outbox.
 */
export async function deliverNotice(ctx: Context, message: Message, { signal }: Call): Promise<Outcome> {
  const { smtp } = ctx.config.mail
  if (!smtp) return { kind: 'failed', reason: 'not_configured' }
  const found = await notices.findForDelivery(ctx.db, String(message.payload['notice']))
  // Contacts are texts that somebody registered: what is no address would be a line of its own in the header (attack 108).
  const to = [...new Set(found?.addresses.flatMap((address) => normaliseEmail(address) ?? []))]
  // It is over, or nobody is there: it is read by `ostiary notice list`, if at all.
  if (!found || to.length === 0) return { kind: 'delivered' }
  const { issuer } = ctx.config.server
  const { subject, body } = noticeText(found.notice, issuer)
  return sendMail(
    smtp,
    {
      to,
      subject,
      text: `${subject}.\n\n${body}\n\n-- \n${issuer}\n`,
      date: found.notice.createdAt,
      messageId: `<${message.id}@${new URL(issuer).hostname.replace(/[[\]:]/g, '')}>`,
    },
    signal,
  )
}
