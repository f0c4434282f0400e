import { type AddressInfo, createServer, type Socket } from 'node:net'

/** What this needs of a tap test. */
interface Test {
  teardown(work: () => unknown): unknown
}

export interface ReceivedMail {
  /** Of MAIL FROM and RCPT TO. */
  readonly from: string
  readonly to: readonly string[]
  /** Field names in small letters. */
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** As it came over the wire, without the dots that were stuffed. */
  readonly raw: string
}

/** A mail server on loopback, without TLS: RFC 5321 as far as a client needs it. */
export interface MailServer {
  readonly port: number
  readonly url: string
  readonly received: readonly ReceivedMail[]
  /** Every line that clients sent, but for the mails. */
  readonly commands: readonly string[]
  /** Answers commands that begin so with this line from now on; undefined: as before. Empty: with nothing at all. */
  answer(command: string, line: string | undefined): void
}

export async function openMailServer(t: Test): Promise<MailServer> {
  const received: ReceivedMail[] = []
  const commands: string[] = []
  const answers = new Map<string, string>()
  const sockets = new Set<Socket>()

  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    let pending = ''
    /** The lines of a mail that is being sent. */
    let data: string[] | undefined
    let envelope = { from: '', to: [] as string[] }
    const say = (line: string): void => {
      if (line !== '') socket.write(`${line}\r\n`)
    }
    const hear = (line: string): void => {
      if (data && line !== '.') {
        data.push(line.replace(/^\./, ''))
        return
      }
      if (data) {
        received.push({ ...envelope, ...readMail(`${data.join('\r\n')}\r\n`) })
        data = undefined
        envelope = { from: '', to: [] }
        say(answers.get('.') ?? '250 taken')
        return
      }
      say(answerTo(line))
      if (/^QUIT/i.test(line)) socket.end()
    }
    const answerTo = (line: string): string => {
      commands.push(line)
      const verb = /^[A-Z]+/i.exec(line)?.[0].toUpperCase() ?? ''
      const given = [...answers].find(([command]) => line.toUpperCase().startsWith(command))?.[1]
      if (given !== undefined) return given
      const address = /<([^>]*)>/.exec(line)?.[1] ?? ''
      if (verb === 'EHLO') return '250-mail.test\r\n250-8BITMIME\r\n250-AUTH PLAIN\r\n250 SMTPUTF8'
      if (verb === 'AUTH') return '235 welcome'
      if (verb === 'MAIL') envelope.from = address
      if (verb === 'RCPT') envelope.to.push(address)
      if (verb === 'DATA') {
        data = []
        return '354 go on'
      }
      return verb === 'QUIT' ? '221 bye' : '250 ok'
    }
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (pending + chunk).split('\r\n')
      pending = lines.pop() ?? ''
      for (const line of lines) hear(line)
    })
    say(answers.get('CONNECT') ?? '220 mail.test ESMTP')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `smtp://127.0.0.1:${port}`,
    received,
    commands,
    answer(command, line) {
      if (line === undefined) answers.delete(command)
      else answers.set(command, line)
    },
  }
}

function readMail(raw: string): Pick<ReceivedMail, 'headers' | 'text' | 'raw'> {
  const end = raw.indexOf('\r\n\r\n')
  const fields = raw
    .slice(0, end)
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n')
  const headers = Object.fromEntries(
    fields.map((field) => {
      const at = field.indexOf(':')
      return [field.slice(0, at).toLowerCase(), words(field.slice(at + 1).trim())]
    }),
  )
  const body = raw.slice(end + 4)
  return { raw, headers, text: decode(body, headers['content-transfer-encoding']).replaceAll('\r\n', '\n') }
}

/** RFC 2047 §2. */
function words(text: string): string {
  return text
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/=\?utf-8\?([QB])\?([^?]*)\?=/gi, (_, encoding: string, content: string) =>
      encoding.toUpperCase() === 'B' ? Buffer.from(content, 'base64').toString() : quoted(content.replaceAll('_', ' ')),
    )
}

function decode(body: string, encoding = ''): string {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString()
  return encoding === 'quoted-printable' ? quoted(body.replace(/=\r\n/g, '')) : body
}

function quoted(text: string): string {
  const bytes = text.replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString()
}
