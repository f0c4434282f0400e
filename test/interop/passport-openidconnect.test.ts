import express from 'express'
import session from 'express-session'
import { Passport } from 'passport'
import OpenIDConnectStrategy, { type VerifyCallback } from 'passport-openidconnect'
import t from 'tap'
import { serve } from '../support/application.js'
import { TestBrowser } from '../support/browser.js'
import { Visitor } from '../support/examples.js'
import { visitByQuery } from '../support/relying-party.js'
import { createRunningServer, freePort } from '../support/running-server.js'

t.test('passport-openidconnect, which knows no PKCE: login, UserInfo, logout', async (t) => {
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

  const visitor = new Visitor(origin)
  const browser = new TestBrowser(server)
  const locationOf = async (path: string) => (await visitor.request(path)).headers.get('location') ?? ''
  const answer = await visitByQuery(server, new URL(await locationOf('/login')), person, { browser })
  t.equal(await locationOf(answer.pathname + answer.search), '/')
  t.match(await (await visitor.request('/')).json(), {
    profile: { id: person.id, displayName: 'Ada', emails: [{ value: person.email }] },
  })
  const question = await browser.open(await locationOf('/logout'))
  t.equal((await browser.submit(question, {}, { button: 'logout-yes' })).left?.href, `${origin}/`)
  t.equal(await (await visitor.request('/')).json(), 'nobody')
})
