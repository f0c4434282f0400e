import t from 'tap'
import { createDelivery, remind } from '../../src/jobs/index.js'
import { nameDestinations, notifyOwner } from '../../src/notices/index.js'
import { day, openMailing, openOwners } from '../support/notices.js'
import { createTestServer, sql } from '../support/server.js'
import { openMailServer } from '../support/smtp.js'
import { deliver, waiting } from '../support/telling.js'

const by = { actor: 'system' }

t.test('a reminder comes by mail, and says what to do', async (t) => {
  const { server, ctx, user, key, mail, delivery } = await openMailing(t)
  const { key: made, text } = await key({ name: 'Nightly report' })
  server.clock.advance(83 * day)
  await remind(ctx)
  await deliver(delivery)
  t.same(await waiting(server), [])
  const [received] = mail.received.filter(({ to }) => to.includes(user.email))
  t.match(received, { from: 'auth@example.com', to: [user.email] })
  t.equal(received?.headers['subject'], `The API key “Nightly report” (${made.id}) is to be rotated on 2026-05-30`)
  t.match(received?.text, /within 7 days\.\n/)
  t.match(received?.text, `http://localhost:3000/account/api-keys/${made.id}/rotate`)
  t.match(received?.text, /-- \nhttp:\/\/localhost:3000\n/)
  t.match(received?.headers['message-id'], /^<[0-9a-f-]{36}@localhost>$/)
  t.notOk(received?.raw.includes(text.slice(-40)))
  t.equal(mail.received.length, 1, 'the client of the API has no contacts, and nobody is told')
  await remind(ctx)
  await deliver(delivery)
  t.equal(mail.received.length, 1)
})

t.test('attack 108: nothing that anybody registered is a line of the header', async (t) => {
  const { server, ctx, mail, delivery, key } = await openMailing(t)
  const evil = 'Report\r\nBcc: eve@evil.example\r\n\r\nSend me the key\u202e'
  const { key: made } = await key()
  await sql(server, 'UPDATE api_key SET name = $1', [evil])
  const service = await server.createService('read', { contacts: ['ops@example.com'] })
  const contacts = [
    ...['ops@example.com', 'OPS@example.com', 'Ops <ops2@example.com>', 'a@example.com\r\nRCPT TO:<eve@evil.example>'],
    ...['x@y.example, eve@evil.example', 'https://example.com/contact', ''],
  ]
  await sql(server, 'UPDATE client SET contacts = $1, client_name = $2 WHERE client_id = $3', [
    contacts,
    evil,
    service.clientId,
  ])
  server.clock.advance(83 * day)
  await remind(ctx)
  await deliver(delivery)
  t.same(await waiting(server), [])
  t.same(
    new Set(mail.received.flatMap(({ to }) => to)),
    new Set(['ops@example.com', 'ada@example.com']),
    'addresses alone, each once',
  )
  t.equal(mail.received.length, 2)
  for (const { headers, raw } of mail.received) {
    t.same(
      Object.keys(headers).filter(
        (name) => !/^(from|to|subject|date|message-id|auto-submitted|mime-version|content-)/.test(name),
      ),
      [],
    )
    t.match(headers['subject'], /Report Bcc: eve@evil\.example Send me the key”/)
    t.notOk(/^Bcc/im.test(raw))
  }
  t.notOk(mail.commands.some((line) => line.includes('evil')))
  t.ok(made.id)
})

t.test('a mail server that is away: tried again, and given once', async (t) => {
  const { server, ctx, key, mail, delivery } = await openMailing(t)
  await key()
  server.clock.advance(83 * day)
  mail.answer('CONNECT', '421 not now')
  await remind(ctx)
  await deliver(delivery)
  t.same(mail.received, [])
  t.match(await waiting(server), [{ destination: 'mail', attempts: 1, last_error: 'smtp_421' }])
  mail.answer('CONNECT', undefined)
  // A lane that nothing gets through is probed by one message at a time.
  for (let n = 0; n < 4; n++) {
    server.clock.advance(20)
    await deliver(delivery)
  }
  t.same(await waiting(server), [])
  t.equal(mail.received.length, 1)
  t.notOk(
    server.logs.some((line) => line.includes('ada@example.com')),
    'no address is logged',
  )
})

t.test('an address that takes no mail is given up, and the audit says so', async (t) => {
  const { server, ctx, key, mail, delivery } = await openMailing(t)
  await key()
  server.clock.advance(83 * day)
  mail.answer('RCPT', '550 no ada@example.com here')
  await remind(ctx)
  await deliver(delivery)
  t.same(await waiting(server), [])
  const [event] = await server.audit('outbox.given_up')
  t.match(event, { reason: 'smtp_550', detail: { kind: 'notice', destination: 'elsewhere' } })
  t.notOk(JSON.stringify(event).includes('ada@'))
})

t.test('who is disabled, or gone, gets no mail; who changed their address gets it there', async (t) => {
  const { server, ctx, owner, user, mail, delivery } = await openMailing(t)
  const request = { kind: 'exposed', owner, detail: { name: 'Test' }, by } as const
  t.equal(await notifyOwner(ctx, { ...request, subject: { kind: 'api_key', id: 'one' } }), true)
  t.equal(await notifyOwner(ctx, { ...request, subject: { kind: 'api_key', id: 'one' } }), false, 'once')
  await sql(server, `UPDATE user_account SET email = 'new@example.com'`)
  await deliver(delivery)
  t.same(
    mail.received.map(({ to }) => to),
    [['new@example.com']],
  )
  await sql(server, 'UPDATE user_account SET disabled_at = now() WHERE id = $1', [user.id])
  await notifyOwner(ctx, { ...request, subject: { kind: 'api_key', id: 'two' } })
  const nobody = { kind: 'client', id: 'gone' } as const
  await notifyOwner(ctx, { ...request, owner: nobody, subject: { kind: 'api_key', id: 'three' } })
  await deliver(delivery)
  t.equal(mail.received.length, 1)
  t.same(await waiting(server), [])
})

t.test('without a mail server nothing waits; taken out of the settings, what waits says why', async (t) => {
  const { server, ctx, key } = await openOwners(t)
  await nameDestinations(ctx)
  await key()
  server.clock.advance(83 * day)
  await remind(ctx)
  t.same(await waiting(server), [])

  const mail = await openMailServer(t)
  const env = { SMTP_URL: mail.url, MAIL_FROM: 'auth@example.com' }
  const mailing = await createTestServer(t, { beside: server, env })
  await nameDestinations(mailing.ctx)
  server.clock.advance(6 * day)
  await remind(ctx)
  const delivery = createDelivery(ctx)
  await deliver(delivery)
  t.match(await waiting(server), [{ last_error: 'not_configured' }, {}])
})
