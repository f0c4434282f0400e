import type { Notice } from '../store/index.js'
import { displayText } from '../ui/index.js'

/** What a notice says, as plain text: the subject is one line. */
export interface NoticeText {
  readonly subject: string
  /** What is the matter, and what to do; without a greeting. */
  readonly body: string
}

/** A credential as its owner knows it. Whatever stands in a name is one line of text that shows what it holds (attack 98). */
function named({ subject, detail, owner }: Notice): string {
  const name = displayText(detail.name, 80) || subject.id
  return subject.kind === 'api_key' ? `API key “${name}” (${subject.id})` : `client secret of “${name}” (${owner.id})`
}

/** @param issuer where people have a page for their own */
export function noticeText(notice: Notice, issuer: string): NoticeText {
  const what = named(notice)
  const { due_at: due, days, ends, found_at: found, publishable } = notice.detail
  const on = due === undefined ? 'soon' : `on ${dateText(due)}`
  const where = found === undefined ? 'in a public place' : `at ${displayText(found, 300)}`
  switch (notice.kind) {
    case 'rotation_due':
      return ends
        ? {
            subject: `The ${what} ends ${on}`,
            body: `It ends by itself, ${inDays(days)}.\n\n${howToRotate(notice, issuer)}`,
          }
        : {
            subject: `The ${what} is to be rotated ${on}`,
            body: `That is ${inDays(days)}.\n\n${howToRotate(notice, issuer)}`,
          }
    case 'rotation_overdue':
      return {
        subject: `The ${what} should have been rotated ${on}`,
        body: `It is still good, and so it is for whoever may have got hold of it.\n\n${howToRotate(notice, issuer)}`,
      }
    case 'exposed':
      return {
        subject: `The ${what} was sent in an address`,
        body:
          'What stands in the address of a request stands in logs and histories, where others read it. Send it in a header. ' +
          `It was sent to ${found === undefined ? 'this server' : displayText(found, 300)}.\n\n${howToReplace(notice, issuer)}`,
      }
    case 'leaked':
      return {
        subject: `The ${what} was found in public`,
        body: publishable
          ? `It was found ${where}. It is made to stand in pages: where that is one of yours, nothing is to be done.`
          : `It was found ${where}. It is still good: take it out of there, and replace it now.\n\n${howToReplace(notice, issuer)}`,
      }
    case 'ended':
      return {
        subject: `The ${what} was found in public, and has ended`,
        body:
          `It was found ${where}, and was ended at once: whoever reads it there can do nothing with it, and neither can your ` +
          'own programs.\n\nMake another one for these, keep it out of what you publish, and look through the use of the one that ' +
          `ended:\n\n  ${notice.owner.kind === 'user' ? `${issuer}/account/api-keys/${notice.subject.id}` : `ostiary api-key show ${notice.subject.id}`}`,
      }
  }
}

/** Of a key that is in wrong hands. One in its overlap gets no other successor. */
function howToReplace(notice: Notice, issuer: string): string {
  const { subject, owner, detail } = notice
  if (!detail.rotated) return howToRotate(notice, issuer)
  const how =
    owner.kind === 'user'
      ? `  ${issuer}/account/api-keys/${subject.id}/end`
      : `  ostiary api-key revoke ${subject.id}\n\nor DELETE /api-keys/${subject.id}`
  return `It has a successor already: move your programs to that one, or end this one now:\n\n${how}`
}

function howToRotate({ subject, owner, detail }: Notice, issuer: string): string {
  if (subject.kind === 'client_secret') {
    return `Give the client a new secret; the one before stays good meanwhile:\n\n  ostiary client rotate-secret ${owner.id}`
  }
  if (detail.signing) {
    return (
      'Make a new key pair, and give the key a successor of its public half; the one before stays good for a while, and ends by ' +
      `itself:\n\n  ostiary api-key rotate ${subject.id} --public-key FILE\n\nor POST /api-keys/${subject.id}/rotate with jwk`
    )
  }
  if (owner.kind === 'user') {
    return (
      'Give it a successor; the one before stays good for a while, and ends by itself:\n\n' +
      `  ${issuer}/account/api-keys/${subject.id}/rotate`
    )
  }
  return (
    'Give it a successor; the one before stays good for a while, and ends by itself:\n\n' +
    `  ostiary api-key rotate ${subject.id}\n\nor POST /api-keys/${subject.id}/rotate`
  )
}

function inDays(days: number | undefined): string {
  return days === 1 ? 'within a day' : `within ${days ?? 'some'} days`
}

/** To the day: who reads it may be anywhere. */
function dateText(time: string): string {
  return time.slice(0, 10)
}
