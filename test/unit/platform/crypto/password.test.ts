import { readdirSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import t from 'tap'
import { checkNewPassword, createPasswordHasher, QueueFullError } from '../../../../src/platform/crypto/password.js'

t.test('a password is kept under argon2id at the cost that OWASP recommends', async (t) => {
  const passwords = createPasswordHasher({ queue: 8 })
  const hash = await passwords.hash('correct horse battery')
  t.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  t.equal(await passwords.verify(hash, 'correct horse battery'), true)
  t.equal(await passwords.verify(hash, 'correct horse batterz'), false)
  t.not(await passwords.hash('correct horse battery'), hash)
})

t.test('RFC 8265 §4.2: the same text from different keyboards is the same password', async (t) => {
  const passwords = createPasswordHasher({ queue: 8 })
  const hash = await passwords.hash('caf\u00e9 \u00fcber alles')
  t.equal(await passwords.verify(hash, 'cafe\u0301\u00a0u\u0308ber\u3000alles'), true)
  t.equal(await passwords.verify(hash, 'Caf\u00e9 \u00fcber alles'), false)
})

t.test('attack 100: an unknown account costs the same hash as a wrong password', async (t) => {
  const passwords = createPasswordHasher({ queue: 8 })
  const hash = await passwords.hash('correct horse battery')
  const before = passwords.computed

  t.equal(await passwords.verify(hash, 'wrong'), false)
  t.equal(passwords.computed - before, 1)
  t.equal(await passwords.verifyAgainstNothing('wrong'), false)
  t.equal(passwords.computed - before, 2)
  t.equal(await passwords.verify(hash, 'x'.repeat(100_000)), false)
  t.equal(passwords.computed - before, 3)
  t.equal(await passwords.verifyAgainstNothing('x'.repeat(100_000)), false)
  t.equal(passwords.computed - before, 4)
})

t.test('beyond the queue a hash is refused at once, and those that wait are served in order', async (t) => {
  const passwords = createPasswordHasher({ concurrency: 1, queue: 2 })
  const order: number[] = []
  const served = [1, 2, 3].map((index) => passwords.hash('correct horse battery').then(() => order.push(index)))
  t.equal(passwords.waiting, 2)
  await t.rejects(passwords.hash('correct horse battery'), QueueFullError)
  await Promise.all(served)
  t.same(order, [1, 2, 3])
  t.equal(passwords.waiting, 0)
  t.equal(await passwords.verify(await passwords.hash('and again it works'), 'and again it works'), true)
})

t.test('a hash that cannot be read does not block the queue', async (t) => {
  const passwords = createPasswordHasher({ concurrency: 1, queue: 1 })
  await t.rejects(passwords.verify('no hash', 'correct horse battery'))
  await t.resolves(passwords.hash('correct horse battery'))
})

t.test(
  'hashes are computed by threads that everything else goes before',
  { skip: process.platform === 'linux' ? false : 'threads have priorities of their own on Linux alone' },
  async (t) => {
    await createPasswordHasher({ queue: 1 }).hash('correct horse battery')
    // The 19th field: proc_pid_stat(5). What stands in brackets is the name, which may hold spaces.
    const priorities = readdirSync('/proc/self/task').map((thread) => {
      const text = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
      return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[16])
    })
    t.ok(priorities.includes(constants.priority.PRIORITY_BELOW_NORMAL))
    t.not(priorities[0], constants.priority.PRIORITY_BELOW_NORMAL, 'the event loop')
  },
)

t.test('NIST SP 800-63B-4 §3.1.1.2: length and common passwords count, kinds of characters do not', async (t) => {
  for (const password of [
    'correct horse battery',
    'alllowercaseletters',
    '847362910462',
    'мой длинный пароль',
    'パスワードは長いほうがよいです',
    'my dog eats blue socks',
    'password manager generated 9f2k',
    'x'.repeat(3) + 'yzabcqwmnvb'.repeat(80),
  ]) {
    t.equal(checkNewPassword(password, { email: 'ada@example.com' }), undefined, password.slice(0, 40))
  }
  for (const [password, reason] of [
    ['', 'too_short'],
    ['elevenchars', 'too_short'],
    ['🔑'.repeat(11), 'too_short'],
    ['x1y2'.repeat(300), 'too_long'],
    ['é'.repeat(600), 'too_long'],
    ['tab\tin the middle', 'unprintable'],
    ['nul\u0000in the middle', 'unprintable'],
    ['half \ud83d a character', 'unprintable'],
    ['passwordpassword', 'common'],
    ['Password2026!', 'common'],
    ['P@ssw0rd1234', 'common'],
    ['123456789012', 'common'],
    ['aaaaaaaaaaaaaaa', 'common'],
    ['ababababababab', 'common'],
    ['abcdefghijklm', 'common'],
    ['qwertyuiop123', 'common'],
    ['1q2w3e4r5t6y', 'common'],
    ['administrator', 'common'],
    ['correcthorsebatterystaple', 'common'],
    ['Welcome12345!', 'common'],
    ['ada.lovelace@example.com', 'like_email'],
    ['ada.lovelace2026', 'like_email'],
  ] as const) {
    t.match(checkNewPassword(password, { email: 'Ada.Lovelace@example.com' }), { reason, message: /\.$/ }, password)
  }
})
