import t from 'tap'
import { setUpDemo } from '../../src/demo/index.js'
import { authenticateByPassword } from '../../src/identity/index.js'
import { basicOf, createTestServer } from '../support/server.js'

t.test('a first start that was killed while it set up the demo is taken over by the next', async (t) => {
  const killed = new Error('killed')
  // As many as it takes: each creation is a transaction of its own.
  for (let survived = 0, complete = false; !complete; survived++) {
    const { ctx, post } = await createTestServer(t, { demo: true })
    let transactions = 0
    const transaction: typeof ctx.db.transaction = async (work) => {
      if (transactions++ === survived) throw killed
      return ctx.db.transaction(work)
    }
    complete = await setUpDemo({ ...ctx, db: { ...ctx.db, transaction } }).then(
      () => true,
      (error) => {
        t.equal(error, killed)
        return false
      },
    )
    if (complete) {
      t.ok(survived >= 5, 'users, API, service and application')
      break
    }

    const accounts = await setUpDemo(ctx)
    t.ok(accounts, `killed after ${survived}`)
    if (!accounts) continue
    const { admin, user, service } = accounts
    for (const { email, password } of [admin, user]) {
      t.ok(await authenticateByPassword(ctx, { username: email, password }, {}), `${email} can sign in`)
    }
    const reply = await post(
      '/token',
      { grant_type: 'client_credentials' },
      { authorization: basicOf(service.clientId, service.clientSecret) },
    )
    t.equal(reply.statusCode, 200, 'the service gets a token')
    t.equal(await setUpDemo(ctx), undefined, 'and that is shown once')
  }
})
