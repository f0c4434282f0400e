import t from 'tap'
import type { SmtpServer } from '../../../src/platform/config/mail.js'
import { type Mail, sendMail } from '../../../src/platform/mail.js'
import { openMailServer } from '../../support/smtp.js'

const mail: Mail = {
  to: ['ada@example.com'],
  subject: 'A key of yours',
  text: 'Line one.\n.\nA dot alone does not end it – whatever it is.\n',
  date: new Date('2026-03-01T12:00:00Z'),
  messageId: '<1@auth.example>',
}
const forever = new AbortController().signal

function at(port: number, more: Partial<SmtpServer> = {}): SmtpServer {
  const plain = { secure: false, requireTls: false, user: undefined, password: undefined }
  return { host: '127.0.0.1', port, from: 'auth@example.com', ...plain, ...more }
}

t.test('RFC 5321: a mail is handed over, whole', async (t) => {
  const server = await openMailServer(t)
  t.same(await sendMail(at(server.port), mail, forever), { kind: 'delivered' })
  const [received, ...more] = server.received
  t.same(more, [])
  t.match(received, { from: 'auth@example.com', to: ['ada@example.com'], text: mail.text })
  t.match(received?.headers, {
    from: 'auth@example.com',
    to: 'ada@example.com',
    subject: mail.subject,
    'message-id': mail.messageId,
    date: 'Sun, 01 Mar 2026 12:00:00 +0000',
    'auto-submitted': 'auto-generated',
    'content-type': /^text\/plain/,
  })
})

t.test('attack 108: nothing in a mail becomes a line of its header, or a command', async (t) => {
  const server = await openMailServer(t)
  const evil = 'x\r\nBcc: eve@evil.example\r\n\r\nHi'
  const outcome = await sendMail(at(server.port), { ...mail, subject: evil, messageId: `<1@a>${evil}` }, forever)
  t.equal(outcome.kind, 'delivered')
  t.same(server.received[0]?.to, ['ada@example.com'])
  t.notOk('bcc' in (server.received[0]?.headers ?? {}))
  t.equal(server.received[0]?.text, mail.text)
  await sendMail(at(server.port), { ...mail, to: ['ada@example.com>\r\nRCPT TO:<eve@evil.example'] }, forever)
  t.notOk(server.commands.some((line) => line.includes('<eve@evil.example>')))
})

t.test('RFC 8314: nothing is said before TLS where it is required', async (t) => {
  const server = await openMailServer(t)
  const credentials = { user: 'auth', password: 'the password' }
  const outcome = await sendMail(at(server.port, { requireTls: true, ...credentials }), mail, forever)
  t.equal(outcome.kind, 'failed')
  t.same(server.received, [])
  t.notOk(server.commands.some((line) => /^(?:AUTH|MAIL)/.test(line)))
})

t.test('a user and a password', async (t) => {
  const server = await openMailServer(t)
  await sendMail(at(server.port, { user: 'auth', password: 'pass:word' }), mail, forever)
  const [, given = ''] = /^AUTH PLAIN (.*)$/.exec(server.commands.find((line) => line.startsWith('AUTH')) ?? '') ?? []
  t.equal(Buffer.from(given, 'base64').toString(), '\0auth\0pass:word')
  server.answer('AUTH', '535 5.7.8 no')
  const outcome = await sendMail(at(server.port, { user: 'auth', password: 'wrong' }), mail, forever)
  t.same(outcome, { kind: 'failed', reason: 'smtp_535' }, 'somebody can mend it')
})

t.test('RFC 5321 §4.2.1: 4yz may do later, 5yz about a mail will not', async (t) => {
  const server = await openMailServer(t)
  for (const [command, line, outcome] of [
    ['CONNECT', '421 busy', { kind: 'failed', reason: 'smtp_421' }],
    ['MAIL', '550 who are you', { kind: 'failed', reason: 'smtp_550' }],
    ['RCPT', '451 greylisted', { kind: 'failed', reason: 'smtp_451' }],
    ['RCPT', '550 no such mailbox ada@example.com', { kind: 'refused', reason: 'smtp_550' }],
    ['.', '554 spam', { kind: 'refused', reason: 'smtp_554' }],
    ['.', '452 disk full', { kind: 'failed', reason: 'smtp_452' }],
  ] as const) {
    server.answer(command, line)
    t.same(await sendMail(at(server.port), mail, forever), outcome, line)
    server.answer(command, undefined)
  }
})

t.test('nobody is there, or somebody who says nothing until the process stops', async (t) => {
  const server = await openMailServer(t)
  const gone = await openMailServer(t)
  server.answer('EHLO', '')
  const stop = new AbortController()
  const sending = sendMail(at(server.port), mail, stop.signal)
  while (server.commands.length === 0) await new Promise((resolve) => setImmediate(resolve))
  stop.abort()
  t.same(await sending, { kind: 'failed', reason: 'aborted' })
  t.same(await sendMail(at(gone.port), mail, stop.signal), { kind: 'failed', reason: 'aborted' }, 'and begins nothing')
  t.same(gone.commands, [])
  t.equal((await sendMail(at(1), mail, forever)).kind, 'failed')
})
