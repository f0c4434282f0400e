import t from 'tap'
import { createRunningServer } from '../support/running-server.js'
import { introspect } from '../support/tokens.js'
import { launch, skip, takePictures } from './chromium.js'

t.test('a person makes a key, sees it once, uses it, rotates and ends it, without script', { skip }, async (t) => {
  const server = await createRunningServer(t)
  const api = await server.createResource('https://orders.example', 'orders:read orders:write', {
    name: 'Orders API',
    scopes: [
      { name: 'orders:read', description: 'Read your orders' },
      { name: 'orders:write', description: 'Make and change your orders' },
    ],
  })
  const user = await server.createUser('ada@example.com', 'correct horse battery')
  const { issuer } = server.ctx.config.server
  const context = await (await launch(t)).newContext({
    javaScriptEnabled: false,
    viewport: { width: 1280, height: 800 },
  })
  const page = await context.newPage()
  const text = () => page.locator('main').innerText()

  await page.goto(`${issuer}/account`)
  await page.fill('input[name=username]', user.email)
  await page.fill('input[name=password]', user.password)
  await page.click('#login-submit')
  await page.waitForURL(`${issuer}/account`)
  await takePictures(page, 'account')

  await page.click('text=See your API keys')
  await page.click('text=Make a key')
  await page.fill('#name', 'Nightly report')
  await page.check('input[value="https://orders.example orders:read"]')
  await page.check('input[value="2592000"]')
  await page.fill('#networks', 'not a network')
  await takePictures(page, 'account-new-key')
  await page.click('#make-key')
  t.match(await page.innerText('#networks-error'), /not a network/)
  t.equal(await page.inputValue('#name'), 'Nightly report')
  t.ok(await page.isChecked('input[value="2592000"]'))
  await page.fill('#networks', '')
  await page.click('#make-key')

  const key = await page.innerText('#new-key')
  t.match(await introspect(server, api, key), { active: true, scope: 'orders:read', sub: user.id })
  t.notOk(page.url().includes(key.slice(-20)))
  await page.reload()
  t.match(await page.innerText('h1'), 'This key was made already')
  t.notOk((await page.content()).includes(key.slice(-20)), 'a page that is loaded again does not show it')

  await server.ctx.apiKeyUse.flush()
  await page.click('text=See the key')
  await page.click('nav >> text=API keys')
  await takePictures(page, 'account-keys')
  await page.click('text=Nightly report')
  t.match(await text(), /Last used\s+\d/)
  await takePictures(page, 'account-key')
  await page.click('text=Rotate')
  await page.check('input[value="0"]')
  await page.click('#rotate-key')
  const successor = await page.innerText('#new-key')
  t.match(await introspect(server, api, key), { active: false })
  t.match(await introspect(server, api, successor), { active: true })

  await page.click('text=I have copied it')
  await page.click('main a.end')
  await page.click('#end-key')
  await page.waitForURL(`${issuer}/account/api-keys/*`)
  t.match(await text(), /You ended it in your account/)
  t.match(await introspect(server, api, successor), { active: false })
  await page.click('text=API keys')
  await page.click('text=Ended and expired keys')
  t.match(await text(), /Nightly report[\s\S]*Nightly report/)

  await page.click('text=Overview')
  await page.click('text=Sign out')
  t.match(await page.innerText('h1'), 'You are signed out')
  await page.goto(`${issuer}/account/api-keys`)
  t.match(await page.innerText('h1'), 'Sign in')
})
