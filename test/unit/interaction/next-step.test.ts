import t from 'tap'
import type { Prompt } from '../../../src/interaction/interaction.js'
import {
  decisionsOn,
  isRefused,
  nextStep,
  type OfferedScope,
  type Waiting,
} from '../../../src/interaction/next-step.js'

const now = new Date('2026-03-01T12:00:00Z')
const ago = (seconds: number): Date => new Date(now.getTime() - seconds * 1000)

const api = 'https://api.example'
const read: OfferedScope = { name: 'read', resources: [api], required: false }
const write: OfferedScope = { name: 'write', resources: [api], required: false }
const openid: OfferedScope = { name: 'openid', resources: [], required: true }
const session = { authTime: ago(60) }

interface Given {
  readonly prompt?: readonly Prompt[]
  readonly maxAge?: number
  readonly scope?: readonly string[]
  readonly native?: boolean
  readonly firstParty?: boolean
  readonly authenticatedAt?: Date
  readonly isAnother?: boolean
}

function waiting(given: Given = {}): Waiting {
  const { prompt = [], maxAge, scope = ['read'], native = false, firstParty = false } = given
  const { authenticatedAt, isAnother = false } = given
  return {
    demands: { prompt, maxAge, scope },
    client: { firstParty },
    onDevice: native,
    authenticatedAt,
    isAnother,
  }
}

const asked = { offered: [read], decisions: [] }
const allowed = { offered: [read], decisions: decisionsOn([read], new Set(['read'])) }
const nobody = { offered: [], decisions: [] }

t.test('nobody is signed in', async (t) => {
  t.same(nextStep(waiting(), undefined, nobody, now), { kind: 'login', reason: 'signed_out' })
  const silent = nextStep(waiting({ prompt: ['none'] }), undefined, nobody, now)
  t.match(silent, { kind: 'error', error: { code: 'login_required' } }, 'OIDC Core §3.1.2.6')
})

t.test('OIDC Core §3.1.2.1: prompt=login asks for the password again, once in each interaction', async (t) => {
  const again = { kind: 'login', reason: 'reauthenticate' } as const
  t.same(nextStep(waiting({ prompt: ['login'] }), session, allowed, now), again)
  t.same(
    nextStep(waiting({ prompt: ['login'], authenticatedAt: session.authTime }), session, allowed, now).kind,
    'respond',
  )
  const older = { authTime: ago(61) }
  t.same(
    nextStep(waiting({ prompt: ['login'], authenticatedAt: ago(60) }), older, allowed, now),
    again,
    'an older session than the one of this interaction is not enough',
  )
})

t.test('OIDC Core §3.1.2.1: prompt=select_account offers another account, once in each interaction', async (t) => {
  const prompt = ['select_account'] as const
  t.same(nextStep(waiting({ prompt }), session, allowed, now), { kind: 'login', reason: 'select_account' })
  t.equal(nextStep(waiting({ prompt, authenticatedAt: session.authTime }), session, allowed, now).kind, 'respond')
})

t.test('OIDC Core §3.1.2.1: max_age', async (t) => {
  t.equal(nextStep(waiting({ maxAge: 60 }), session, allowed, now).kind, 'respond', 'as old as that is young enough')
  t.equal(nextStep(waiting({ maxAge: 59 }), session, allowed, now).kind, 'login')
  t.equal(nextStep(waiting({ maxAge: 0 }), { authTime: now }, allowed, now).kind, 'login', 'attack 21: 0 always asks')
  const done = waiting({ maxAge: 0, authenticatedAt: ago(60) })
  t.equal(nextStep(done, session, allowed, now).kind, 'respond', 'but not for ever')
  t.match(nextStep(waiting({ maxAge: 0, prompt: ['none'] }), session, allowed, now), {
    error: { code: 'login_required' },
  })
})

t.test('consent is asked for what was not decided, and remembered', async (t) => {
  t.same(nextStep(waiting(), session, asked, now), { kind: 'consent' })
  t.same(nextStep(waiting(), session, allowed, now), { kind: 'respond', scope: ['read'] })
  t.same(nextStep(waiting({ scope: ['read', 'write'] }), session, { ...allowed, offered: [read, write] }, now), {
    kind: 'consent',
  })
  const elsewhere = [{ resource: 'https://other.example', scope: 'read', granted: true }]
  t.same(nextStep(waiting(), session, { offered: [read], decisions: elsewhere }, now), { kind: 'consent' })
  const owners = [{ ...read, resources: [api, 'https://other.example'] }]
  t.same(
    nextStep(waiting(), session, { ...allowed, offered: owners }, now),
    { kind: 'consent' },
    'a scope that a second resource owns now is another permission',
  )
  t.match(nextStep(waiting({ prompt: ['none'] }), session, asked, now), { error: { code: 'consent_required' } })
})

t.test('a refused optional scope is left out without another question', async (t) => {
  const offered = [read, write]
  const decisions = decisionsOn(offered, new Set(['read']))
  t.same(nextStep(waiting(), session, { offered, decisions }, now), { kind: 'respond', scope: ['read'] })
  t.notOk(isRefused(read, decisions))
  t.ok(isRefused(write, decisions))
  t.notOk(isRefused(write, []), 'what was never decided was not refused')
  t.same(
    nextStep(waiting(), session, { offered: [write], decisions }, now),
    { kind: 'consent' },
    'where it is all that is asked for, the question comes again: nothing can be granted without',
  )
  t.same(
    nextStep(waiting(), session, { offered: [read, { ...write, required: true }], decisions }, now),
    { kind: 'consent' },
    'likewise where it has become required',
  )
})

t.test('nothing but a login is asked for: the user is asked once', async (t) => {
  const offered: readonly OfferedScope[] = []
  t.same(nextStep(waiting({ scope: [] }), session, { offered, decisions: [] }, now), { kind: 'consent' })
  const decisions = decisionsOn(offered, new Set())
  t.same(nextStep(waiting({ scope: [] }), session, { offered, decisions }, now), { kind: 'respond', scope: [] })
})

t.test('RFC 8252 §8.6: a native client is asked about every time, a first-party one too', async (t) => {
  t.equal(nextStep(waiting({ native: true }), session, allowed, now).kind, 'consent')
  t.equal(nextStep(waiting({ native: true, firstParty: true }), session, allowed, now).kind, 'consent')
  const silent = nextStep(waiting({ native: true, prompt: ['none'] }), session, allowed, now)
  t.match(silent, { kind: 'error', error: { code: 'consent_required' } })
})

t.test('a first-party client needs no consent, unless it asks for it', async (t) => {
  const firstParty = waiting({ firstParty: true })
  t.same(nextStep(firstParty, session, { offered: [openid, read], decisions: [] }, now), {
    kind: 'respond',
    scope: ['openid', 'read'],
  })
  t.equal(nextStep(waiting({ firstParty: true, prompt: ['consent'] }), session, asked, now).kind, 'consent')
})

t.test('OIDC Core §3.1.2.1: prompt=consent asks again', async (t) => {
  t.equal(nextStep(waiting({ prompt: ['consent'] }), session, allowed, now).kind, 'consent')
})

t.test('nothing of what was asked for can be granted', async (t) => {
  for (const prompt of [[], ['none'], ['consent']] as const) {
    t.match(nextStep(waiting({ prompt }), session, { offered: [], decisions: [] }, now), {
      kind: 'error',
      error: { code: 'invalid_scope', reason: 'scope_not_allowed' },
    })
  }
})

t.test('the login comes before everything that depends on the user', async (t) => {
  t.equal(nextStep(waiting({ prompt: ['login', 'consent'] }), session, nobody, now).kind, 'login')
})

t.test('attack 22: a request that names its user is answered for nobody else', async (t) => {
  const step = (given: Given) => nextStep(waiting({ ...given, isAnother: true }), session, allowed, now)
  t.same(step({}), { kind: 'login', reason: 'select_account' })
  t.match(step({ prompt: ['none'] }), { kind: 'error', error: { code: 'login_required' } })
  const again = step({ authenticatedAt: session.authTime })
  t.match(again, { kind: 'error', error: { code: 'login_required', reason: 'login_of_another_user' } })
})
