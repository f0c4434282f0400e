import t, { type Test } from 'tap'
import { authenticateByPassword, disableUser, enableUser, setPassword } from '../../src/identity/index.js'
import { TooManyRequestsError } from '../../src/oauth/errors.js'
import { revoke } from '../../src/revocation/index.js'
import { authorizationUrl, logIn, type Person } from '../support/authorization.js'
import { TestBrowser, type TestPage } from '../support/browser.js'
import { createTestServer, sql } from '../support/server.js'

const by = { actor: 'operator' }
const cookieName = 'ostiary_device'
const wrong = 'not the password'

/** What is tried at a server where few failures hold an account back: in one process, by people of one test each. */
async function open(t: Test, env: Readonly<Record<string, string>> = {}, seed = t.fullname) {
  const server = await createTestServer(t, {
    seed,
    env: { FAILURES_PER_ACCOUNT: '3', FAILURES_PER_ACCOUNT_ANYWHERE: '3', ...env },
  })
  const client = await server.createClient({ first_party: true })
  let people = 0
  const person = () => server.createUser(`person-${++people}@example.com`)

  /** A login in the browser, whatever session it has: what counts here is the cookie of the device. */
  async function tryLogin(browser: TestBrowser, { email, password }: Person, typed = password): Promise<TestPage> {
    const page = await browser.open(authorizationUrl(client, { prompt: 'login' }))
    return logIn(browser, page, { email, password: typed })
  }
  let networks = 0
  const elsewhere = () => `203.0.${++networks}.9`
  const somewhere = () => new TestBrowser(server, { ip: elsewhere() })
  /** Wrong passwords from as many networks, until nobody unknown gets further. */
  async function botnet({ email: username }: Person): Promise<void> {
    for (let bots = 0; bots < 10; bots++) {
      try {
        await authenticateByPassword(server.ctx, { username, password: wrong }, { ip: elsewhere() })
      } catch (error) {
        t.match(error, { name: 'TooManyRequestsError' })
        return
      }
    }
    throw new Error('the account is open after ten guesses')
  }
  /** A browser somewhere else that sends this as the cookie of its device. */
  const withCookie = (value: string) => {
    const browser = somewhere()
    const about = { secure: false, httpOnly: true, sameSite: 'Lax', path: '/' }
    browser.cookies.set(cookieName, { name: cookieName, value, ...about })
    return browser
  }
  /** The same without a page: what the login page asks of it. */
  const guess = (device: string, { email: username }: Person, password: string) =>
    authenticateByPassword(server.ctx, { username, password, device }, { ip: elsewhere() }).then(
      (authenticated) => (authenticated ? 'right' : 'wrong'),
      (error) => (error instanceof TooManyRequestsError ? 'held back' : String(error)),
    )
  return { server, person, tryLogin, somewhere, botnet, withCookie, guess }
}

const scene = await open(t)

const cookieOf = (browser: TestBrowser): string => browser.cookies.get(cookieName)?.value ?? ''
const signedIn = { code: /^oac_/ }

t.test(
  'attack 102: a botnet holds strangers back from an account, and not the browsers that are known to it',
  async (t) => {
    const { server, person, tryLogin, somewhere, botnet, withCookie } = scene
    const [ada, eve] = [await person(), await person()]
    const known = somewhere()
    t.match((await tryLogin(known, ada)).answer, signedIn)
    await botnet(ada)

    const { computed } = server.ctx.passwords
    const stranger = await tryLogin(somewhere(), ada)
    t.equal(stranger.status, 429, 'also with the right password')
    t.match(stranger.reply.headers['retry-after'], /^[1-9]\d*$/)
    t.equal(server.ctx.passwords.computed, computed, 'and no hash is computed')
    t.match((await tryLogin(somewhere(), eve)).answer, signedIn, 'another account is not concerned')

    t.match((await tryLogin(known, ada)).answer, signedIn)
    t.match((await tryLogin(withCookie(cookieOf(known)), ada)).answer, signedIn, 'wherever it is')
  },
)

t.test('attack 102: who sits in the network of an attacker logs in by a browser that is known', async (t) => {
  const { server, person, tryLogin } = scene
  const ada = await person()
  const office = (host: number) => new TestBrowser(server, { ip: `192.0.2.${host}` })
  const known = office(1)
  t.match((await tryLogin(known, ada)).answer, signedIn)
  for (let guesses = 0; guesses < 3; guesses++) await tryLogin(office(66), ada, wrong)
  t.equal((await tryLogin(office(2), ada)).status, 429)
  t.match((await tryLogin(known, ada)).answer, signedIn)
})

t.test(
  'attack 102: a cookie that is forged, altered, of another account or of another server is a stranger’s',
  async (t) => {
    const { person, tryLogin, somewhere, botnet, guess } = scene
    const [ada, eve] = [await person(), await person()]
    const [known, others] = [somewhere(), somewhere()]
    await tryLogin(known, ada)
    await tryLogin(others, eve)
    const good = cookieOf(known)
    const [keyId = '', time = '', id = '', mac = ''] = good.split('.')
    const another = await open(t, {}, 'another server')
    const namesake = await another.server.createUser(ada.email)
    const foreign = another.somewhere()
    await another.tryLogin(foreign, namesake)
    t.equal(await another.guess(cookieOf(foreign), namesake, namesake.password), 'right')
    await botnet(ada)

    const flip = (text: string) => text.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'))
    const later = (Number.parseInt(time, 36) + 1).toString(36)
    const cases: Readonly<Record<string, string>> = {
      'another account’s': cookieOf(others),
      'another server’s': cookieOf(foreign),
      'another id': [keyId, time, flip(id), mac].join('.'),
      'another time': [keyId, later, id, mac].join('.'),
      'another MAC': [keyId, time, id, flip(mac)].join('.'),
      'no MAC': [keyId, time, id, ''].join('.'),
      'a shorter MAC': good.slice(0, -2),
      'another key': ['0'.repeat(16), time, id, mac].join('.'),
      garbage: '~~.~.',
      'behind three others': [...Array.from({ length: 3 }, () => cookieOf(others)), good].join('~'),
      empty: '',
    }
    for (const [name, value] of Object.entries(cases)) t.equal(await guess(value, ada, ada.password), 'held back', name)
    t.equal(await guess(good, ada, ada.password), 'right', 'and the right one is known')
  },
)

t.test('attack 102: a stolen cookie is worth a few guesses, and a login takes the owner’s out of reach', async (t) => {
  const { server, person, tryLogin, somewhere, botnet, guess } = scene
  const ada = await person()
  const owner = somewhere()
  await tryLogin(owner, ada)
  const stolen = cookieOf(owner)
  await botnet(ada)

  const { computed } = server.ctx.passwords
  // Each from another network: the bound is the cookie's.
  for (let guesses = 0; guesses < 6; guesses++) {
    t.equal(await guess(stolen, ada, wrong), guesses < 3 ? 'wrong' : 'held back')
  }
  t.equal(server.ctx.passwords.computed - computed, 3)
  t.equal(await guess(stolen, ada, ada.password), 'held back', 'the right one comes too late')

  server.clock.advance(600)
  t.match((await tryLogin(owner, ada)).answer, signedIn)
  t.not(cookieOf(owner), stolen, 'drawn anew')
  await botnet(ada)
  for (let guesses = 0; guesses < 4; guesses++) await guess(stolen, ada, wrong)
  t.equal(await guess(stolen, ada, ada.password), 'held back')
  t.equal(await guess(cookieOf(owner), ada, ada.password), 'right', 'the thief’s guesses are not counted for it')
})

t.test('attack 102: of many guesses at once by one cookie no more than the bound compute a hash', async (t) => {
  const { server, person, tryLogin, somewhere, guess } = scene
  const ada = await person()
  const owner = somewhere()
  await tryLogin(owner, ada)
  const { computed } = server.ctx.passwords
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => guess(cookieOf(owner), ada, wrong)))
  t.equal(server.ctx.passwords.computed - computed, 3)
  t.equal(outcomes.filter((outcome) => outcome === 'held back').length, 17)
})

t.test(
  'a device is forgotten when the user gets another password, is revoked or disabled, and with time',
  async (t) => {
    const { server, person, tryLogin, somewhere, botnet, guess } = scene
    const { ctx, clock } = server
    const ada = await person()
    const password = 'another battery staple'
    const endings: Readonly<Record<string, () => Promise<unknown>>> = {
      'another password': () => setPassword(ctx, ada.id, password, by),
      'a revocation': () => revoke(ctx, { kind: 'user', userId: ada.id }, { ...by, reason: 'test' }),
      'disabled, and enabled': async () => {
        await disableUser(ctx, ada.id, by)
        await enableUser(ctx, ada.id, by)
      },
      'its age': async () => clock.advance(ctx.config.sessions.knownDeviceLifetime),
    }
    let typed = ada.password
    for (const [name, end] of Object.entries(endings)) {
      clock.advance(600)
      const browser = somewhere()
      t.match((await tryLogin(browser, ada, typed)).answer, signedIn, name)
      clock.advance(5)
      await botnet(ada)
      t.equal(await guess(cookieOf(browser), ada, typed), 'right', name)
      clock.advance(600)
      await end()
      typed = password
      await botnet(ada)
      t.equal(await guess(cookieOf(browser), ada, typed), 'held back', name)
    }
  },
)

t.test('a family’s computer knows three accounts, the last ones', async (t) => {
  const { person, somewhere, tryLogin, botnet, guess } = scene
  const family = [await person(), await person(), await person(), await person()]
  const browser = somewhere()
  for (const each of family) t.match((await tryLogin(browser, each)).answer, signedIn)
  t.ok(cookieOf(browser).length <= 256, `${cookieOf(browser).length} characters`)
  // Again, and nobody is pushed out by himself.
  t.match((await tryLogin(browser, family[3]!)).answer, signedIn)
  for (const each of family) await botnet(each)

  const outcomes = []
  for (const each of family) outcomes.push(await guess(cookieOf(browser), each, each.password))
  t.same(outcomes, ['held back', 'right', 'right', 'right'])
})

t.test('the cookie is long-lived, bounded, out of reach of scripts, and names nobody', async (t) => {
  const { server, person, tryLogin, somewhere } = await open(t, { ISSUER: 'https://auth.example.com' })
  const ada = await person()
  const browser = somewhere()
  const page = await browser.open(authorizationUrl(await server.createClient({ first_party: true })))
  const { form, address } = page.form('login-submit', { username: ada.email, password: ada.password })
  const reply = await browser.request('POST', address, { form })
  const lines = [reply.headers['set-cookie'] ?? []].flat().filter((line) => line.includes(cookieName))
  t.equal(lines.length, 1)
  t.match(lines[0], /^__Host-ostiary_device=[\w.-]{70,72}; Max-Age=15552000; Path=\/; HttpOnly; Secure; SameSite=Lax$/)

  const { value = '' } = browser.cookies.get(`__Host-${cookieName}`) ?? {}
  for (const text of [value, ...value.split('.').map((part) => Buffer.from(part, 'base64url').toString('latin1'))]) {
    t.notOk(text.includes(ada.email) || text.includes(ada.id))
  }
  t.match((await tryLogin(browser, ada)).answer, signedIn)
  t.same(await sql(server, 'SELECT 1 FROM failure_count'), [], 'and nothing is kept of it')
})

t.test('a wrong password makes nobody known', async (t) => {
  const browser = scene.somewhere()
  await scene.tryLogin(browser, await scene.person(), wrong)
  t.equal(cookieOf(browser), '')
})

t.test('two processes count a device together', async (t) => {
  const { server, person, tryLogin, somewhere, guess } = scene
  const ada = await person()
  const owner = somewhere()
  await tryLogin(owner, ada)
  const beside = await createTestServer(t, { beside: server, env: { FAILURES_PER_ACCOUNT: '3' } })
  const there = new TestBrowser(beside, { ip: '198.51.100.9' })
  for (const [name, cookie] of owner.cookies) there.cookies.set(name, cookie)
  t.equal(await guess(cookieOf(owner), ada, wrong), 'wrong')
  t.equal((await tryLogin(there, ada, wrong)).status, 200)
  t.equal(await guess(cookieOf(owner), ada, wrong), 'wrong')
  t.equal((await tryLogin(there, ada)).status, 429)
})
