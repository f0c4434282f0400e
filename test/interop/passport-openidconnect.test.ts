import express from 'express'
import session from 'express-session'
import { Passport } from 'passport'
import OpenIDConnectStrategy, { type VerifyCallback } from 'passport-openidconnect'
import t from 'tap'
import { launch, signIn, skip } from '../browser/chromium.js'
import { serve } from '../support/application.js'
import { alsoOverTls } from '../support/own-tls.js'
import { createRunningServer, freePort } from '../support/running-server.js'

t.test('passport-openidconnect, which knows no PKCE: login, UserInfo, logout', { skip }, async (t) => {
  const server = await createRunningServer(t)
  const { issuer } = server.ctx.config.server
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const { clientId, clientSecret } = await server.createClient({
    redirect_uris: [`${origin}/callback`],
    post_logout_redirect_uris: [`${origin}/`],
    token_endpoint_auth_method: 'client_secret_post',
    // The nonce protects it, which it sends where it is told.
    require_pkce: false,
    scope: 'openid profile email',
  })
  const person = await server.createUser()
  const metadata = (await server.get('/.well-known/openid-configuration')).json()

  const passport = new Passport()
  passport.use(
    new OpenIDConnectStrategy(
      {
        issuer,
        authorizationURL: metadata.authorization_endpoint,
        tokenURL: metadata.token_endpoint,
        userInfoURL: metadata.userinfo_endpoint,
        clientID: clientId,
        clientSecret,
        callbackURL: `${origin}/callback`,
        scope: 'profile email',
        nonce: 'yes',
        maxAge: '600',
        skipUserProfile: false,
      },
      (_issuer: string, profile: object, _context: object, idToken: string | object, done: VerifyCallback) =>
        done(null, { profile, idToken }),
    ),
  )
  passport.serializeUser((user, done) => done(null, user))
  passport.deserializeUser((user: Express.User, done) => done(null, user))
  const app = express()
  app.use(session({ secret: 'of this test alone', resave: false, saveUninitialized: false }))
  app.use(passport.session())
  app.get('/', (request, response) => void response.json(request.user ?? 'nobody'))
  app.get('/login', passport.authenticate('openidconnect'))
  app.get('/callback', passport.authenticate('openidconnect', { successRedirect: '/' }))
  app.get('/logout', (request, response, next) => {
    const { idToken } = request.user as { readonly idToken: string }
    const parameters = { id_token_hint: idToken, post_logout_redirect_uri: `${origin}/` }
    const target = `${metadata.end_session_endpoint}?${new URLSearchParams(parameters)}`
    request.logout((error) => (error ? next(error) : response.redirect(303, target)))
  })
  await serve(t, app, port)

  const tab = await (await launch(t)).newPage()
  const shown = async () => JSON.parse((await tab.textContent('body')) ?? '')
  await tab.goto(`${origin}/login`)
  await signIn(tab, person)
  await tab.waitForURL(`${origin}/`)
  t.match(await shown(), {
    profile: { id: person.id, displayName: 'Ada', emails: [{ value: person.email }] },
  })
  await tab.goto(`${origin}/logout`)
  await tab.click('#logout-yes')
  await tab.waitForURL(`${origin}/`)
  t.equal(await shown(), 'nobody')
})

await alsoOverTls(import.meta.url)
