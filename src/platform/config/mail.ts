import { type Static, Type } from '@sinclair/typebox'
import { isLoopbackHost } from '../network.js'
import { quote, type Source } from './variables.js'

export const mailVariables = Type.Object({
  smtpUrl: Type.Optional(
    Type.String({
      secret: true,
      description:
        'Server that mail goes through, as smtps://user:password@host:465 or smtp://…:587, which must offer STARTTLS. Without it no mail is sent. For the process that runs the background jobs.',
    }),
  ),
  mailFrom: Type.Optional(Type.String({ description: 'Address that mail comes from. Goes with SMTP_URL.' })),
})

export interface MailConfig {
  /** Undefined: no mail is sent. */
  readonly smtp: SmtpServer | undefined
}

export interface SmtpServer {
  readonly host: string
  readonly port: number
  /** TLS from the first byte. RFC 8314 §3.3. */
  readonly secure: boolean
  /** Nothing is said before TLS: only a server on this machine may do without. */
  readonly requireTls: boolean
  readonly user: string | undefined
  readonly password: string | undefined
  readonly from: string
}

export function resolveMail(values: Static<typeof mailVariables>, source: Source): MailConfig {
  const { smtpUrl, mailFrom } = values
  if (smtpUrl === undefined && mailFrom === undefined) return { smtp: undefined }
  if (mailFrom !== undefined && !/^[\x21-\x3f\x41-\x7e]{1,64}@[\w.-]{1,253}$/.test(mailFrom)) {
    source.refuse('MAIL_FROM', `is ${quote(mailFrom)}, which is no address`, 'Write it like auth@example.com.')
  }
  if (smtpUrl === undefined || mailFrom === undefined) {
    const [given, missing] = smtpUrl === undefined ? ['MAIL_FROM', 'SMTP_URL'] : ['SMTP_URL', 'MAIL_FROM']
    source.refuse(missing, `is missing although ${given} is set`, 'Set both to send mail, or neither.')
    return { smtp: undefined }
  }
  return { smtp: readServer(smtpUrl, mailFrom, source) }
}

/** The value may hold a password, so no message repeats any of it. */
function readServer(text: string, from: string, { refuse }: Source): SmtpServer | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const secure = url?.protocol === 'smtps:'
  const hasMore = url && (url.pathname.length > 1 || url.search !== '' || url.hash !== '')
  if (!url || !(secure || url.protocol === 'smtp:') || url.hostname === '' || hasMore) {
    refuse(
      'SMTP_URL',
      'is not the address of a mail server',
      'Write it as smtps://user:password@host:465, with special characters of the password percent-encoded.',
    )
    return undefined
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return {
    host,
    port: url.port === '' ? (secure ? 465 : 587) : Number(url.port),
    secure,
    requireTls: !secure && !isLoopbackHost(host),
    user: decoded(url.username),
    password: decoded(url.password),
    from,
  }
}

function decoded(text: string): string | undefined {
  if (text === '') return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
