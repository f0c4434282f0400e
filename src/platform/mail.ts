import type { SmtpServer } from './config/mail.js'
import type { Outcome } from './delivery.js'

export interface Mail {
  /** Addresses that were checked: nothing of them can be a line of its own. */
  readonly to: readonly string[]
  readonly subject: string
  /** Plain text. */
  readonly text: string
  readonly date: Date
  /** Stays through all attempts, so that who gets it twice can tell. RFC 5322 §3.6.4. */
  readonly messageId: string
}

/** Milliseconds for all of it. Many servers let strangers wait for their greeting; what is claimed is ours for longer. */
const patience = 20_000

/**
 * Hands a mail to the server that the settings name. Nothing is said before TLS, but to a server on this machine. A mail that
 * some of several addresses may not get is delivered to the others.
 */
export async function sendMail(server: SmtpServer, mail: Mail, signal: AbortSignal): Promise<Outcome> {
  // Loaded by the first mail: most processes send none.
  const [{ default: SMTPConnection }, { default: MailComposer }] = await Promise.all([
    import('nodemailer/lib/smtp-connection'),
    import('nodemailer/lib/mail-composer'),
  ])
  const message = await new MailComposer({
    from: server.from,
    to: [...mail.to],
    subject: mail.subject,
    text: mail.text,
    date: mail.date,
    messageId: mail.messageId,
    // No answer by a machine. RFC 3834 §5.
    headers: { 'Auto-Submitted': 'auto-generated' },
    disableFileAccess: true,
    disableUrlAccess: true,
  })
    .compile()
    .build()
  const connection = new SMTPConnection({
    host: server.host,
    port: server.port,
    secure: server.secure,
    requireTLS: server.requireTls,
    // On this machine nobody stands between, and its certificate would be of no name that can be checked.
    ignoreTLS: !server.secure && !server.requireTls,
    tls: { minVersion: 'TLSv1.2' },
    connectionTimeout: patience,
    greetingTimeout: patience,
    socketTimeout: patience,
  })
  const envelope = { from: server.from, to: [...mail.to] }
  const auth = server.user === undefined ? undefined : { user: server.user, pass: server.password ?? '' }
  return new Promise<Outcome>((resolve) => {
    const end = (outcome: Outcome): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', breakOff)
      if (outcome.kind === 'delivered') connection.quit()
      else connection.close()
      resolve(outcome)
    }
    const fail = (error: unknown): void => end(outcomeOf(error))
    const breakOff = (): void => end({ kind: 'failed', reason: 'aborted' })
    const timer = setTimeout(() => end({ kind: 'failed', reason: 'timeout' }), patience)
    const send = (): void =>
      connection.send(envelope, message, (error) => (error ? fail(error) : end({ kind: 'delivered' })))
    signal.addEventListener('abort', breakOff)
    if (signal.aborted) return breakOff()
    // Also afterwards: an error that nobody hears ends the process.
    connection.on('error', fail)
    connection.connect((error) => {
      if (error) fail(error)
      else if (auth) connection.login(auth, (refused) => (refused ? fail(refused) : send()))
      else send()
    })
  })
}

/** RFC 5321 §4.2.1: 5yz is final. What the server says is a text of somebody else, with addresses in it: not repeated. */
function outcomeOf(error: unknown): Outcome {
  const { code, responseCode, command } = Object(error) as Record<'code' | 'responseCode' | 'command', unknown>
  // About this mail and whom it is for; a sender or a login that is refused is for somebody to mend.
  const isAboutMail = command === 'RCPT TO' || command === 'DATA'
  if (isAboutMail && Number(responseCode) >= 500) return { kind: 'refused', reason: `smtp_${responseCode}` }
  // What the library itself does not send: it would not the next time either.
  if (code === 'EENVELOPE' && command === 'API') return { kind: 'refused', reason: 'envelope_invalid' }
  if (typeof responseCode === 'number') return { kind: 'failed', reason: `smtp_${responseCode}` }
  return { kind: 'failed', reason: typeof code === 'string' ? code.toLowerCase() : 'unreachable' }
}
