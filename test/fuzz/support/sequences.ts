import fc, { type AsyncCommand } from 'fast-check'
import type { LightMyRequestResponse } from 'fastify'
import { type IssuedCode, issueCode } from '../../support/grants.js'
import { basicOf, encodeForm } from '../../support/server.js'
import { apiIdentifier } from '../../support/tokens.js'
import type { Scene } from './scene.js'
import { deadline, Violation, type Watch } from './watch.js'

/** What one grant must look like after what was done to it. */
interface Model {
  code: 'fresh' | 'spent' | 'redeemed'
  /** Whether there is a refresh token that was used, and whose answer is the current one. */
  refreshed: boolean
  ended: boolean
}

/** The grant, and the tokens that its client holds. */
interface Real {
  readonly scene: Scene
  readonly watch: Watch
  readonly issued: IssuedCode
  /** Milliseconds for each answer. */
  readonly allowed: number
  access: string
  current: string
  previous: string
}

type Form = Readonly<Record<string, string | readonly string[]>>
type Command = AsyncCommand<Model, Real>

interface Sent {
  readonly form: Form
  readonly headers: Readonly<Record<string, string>>
  readonly path: string
  readonly method: string
}

/** What is wrong about a request. None of these may spend, end or give anything. */
const faults = {
  'wrong secret': ({ scene }: Real, sent: Sent) => withBasic(sent, basicOf(scene.client.clientId, 'k3epqu1et wrong')),
  'no client': (_: Real, sent: Sent) => withBasic(sent, undefined),
  'malformed Basic': (_: Real, sent: Sent) => withBasic(sent, 'Basic %%%'),
  'another client': ({ scene }: Real, sent: Sent) => withBasic(sent, scene.api.basic),
  'two ways of authentication': (_: Real, sent: Sent) => ({ ...sent, form: { ...sent.form, client_secret: 'x' } }),
  'no grant type': (_: Real, sent: Sent) => ({ ...sent, form: { ...sent.form, grant_type: '' } }),
  'unknown grant type': (_: Real, sent: Sent) => ({ ...sent, form: { ...sent.form, grant_type: 'password' } }),
  'another API': (_: Real, sent: Sent) => ({ ...sent, form: { ...sent.form, resource: 'https://other.example' } }),
  'a content type': (_: Real, sent: Sent) => withHeader(sent, 'content-type', 'application/json'),
  'a compressed body': (_: Real, sent: Sent) => withHeader(sent, 'content-encoding', 'gzip'),
  'a secret in the address': (_: Real, sent: Sent) => ({ ...sent, path: `${sent.path}?%63ode=x` }),
  'another method': (_: Real, sent: Sent) => ({ ...sent, method: 'PUT' }),
} satisfies Readonly<Record<string, (real: Real, sent: Sent) => Sent>>

const faultNames = Object.keys(faults) as readonly (keyof typeof faults)[]

/** Faults of a parameter: it is there twice, or is not the one that was given. */
const damages = ['twice', 'flipped', 'cut', 'missing'] as const

function damage(sent: Sent, name: string, how: (typeof damages)[number]): Sent {
  const value = String(sent.form[name])
  const last = value.at(-1) === 'A' ? 'Q' : 'A'
  const changed = { twice: [value, value], flipped: value.slice(0, -1) + last, cut: value.slice(0, -1), missing: '' }[
    how
  ]
  return { ...sent, form: { ...sent.form, [name]: changed } }
}

function withBasic(sent: Sent, authorization: string | undefined): Sent {
  const { authorization: _, ...headers } = sent.headers
  return { ...sent, headers: authorization === undefined ? headers : { ...headers, authorization } }
}

function withHeader(sent: Sent, name: string, value: string): Sent {
  return { ...sent, headers: { ...sent.headers, [name]: value } }
}

/** As the client would ask: right in every part. */
function right({ scene }: Real, path: string, form: Form, as = scene.client): Sent {
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    host: 'localhost:3000',
    authorization: as.basic,
  }
  return { method: 'POST', path, form, headers }
}

const redemption = (real: Real): Sent => right(real, '/token', real.issued.form)
const refreshing = (real: Real, refresh_token: string, more: Form = {}): Sent =>
  right(real, '/token', { grant_type: 'refresh_token', refresh_token, ...more })

async function ask(
  { scene, watch, allowed }: Real,
  { method, path, form, headers }: Sent,
): Promise<LightMyRequestResponse> {
  const body = Buffer.from(encodeForm(form))
  // Tokens and codes of this sequence are given back to their own client, by right.
  const wire = { method, url: path, headers, body, from: '203.0.113.9', mayRepeat: false }
  const sent = await watch.ask(scene.server, wire, 'sequences')
  if (!sent) throw new Violation(`${path} was not sent`)
  if (sent.milliseconds > allowed) throw new LateError(`an answer took ${Math.round(sent.milliseconds)} ms`)
  return sent.reply
}

/** What is asked in a sequence cannot be asked again: the whole sequence is, with a code of its own. */
class LateError extends Error {}

function demand(condition: boolean, what: string, { statusCode, body }: LightMyRequestResponse): void {
  if (!condition) throw new Violation(`${what}: ${statusCode} ${body.slice(0, 300)}`)
}

function command(
  name: string,
  check: (model: Readonly<Model>) => boolean,
  run: (model: Model, real: Real) => Promise<void>,
): Command {
  return { check, run, toString: () => name }
}

/** A request that is refused, and after which everything is as it was. */
function refused(name: string, check: (model: Readonly<Model>) => boolean, sent: (real: Real) => Sent): Command {
  return command(name, check, async (_, real) => {
    const reply = await ask(real, sent(real))
    demand(reply.statusCode >= 400, `${name} was not refused`, reply)
  })
}

function keep(real: Real, reply: LightMyRequestResponse): void {
  const { access_token, refresh_token } = reply.json<{ access_token: string; refresh_token: string }>()
  real.access = access_token
  real.current = refresh_token
}

const redeem = command(
  'redeem',
  () => true,
  async (model, real) => {
    const reply = await ask(real, redemption(real))
    if (model.code === 'fresh') {
      demand(reply.statusCode === 200, 'a code that nothing spent is not redeemed', reply)
      keep(real, reply)
      model.code = 'redeemed'
      return
    }
    demand(reply.statusCode === 400, 'a code is redeemed again', reply)
    model.ended = true
  },
)

/** RFC 6749 §4.1.3, RFC 7636 §4.6: what is tried against a code spends it. */
const mismatched = fc
  .constantFrom<Form>(
    { code_verifier: 'x'.repeat(43) },
    { code_verifier: '' },
    { redirect_uri: '' },
    { redirect_uri: 'https://a.example' },
  )
  .map((over) =>
    command(
      `redeem with ${JSON.stringify(over)}`,
      () => true,
      async (model, real) => {
        const sent = redemption(real)
        const reply = await ask(real, { ...sent, form: { ...sent.form, ...over } })
        demand(reply.statusCode === 400, 'a code is redeemed without its proof', reply)
        if (model.code === 'fresh') model.code = 'spent'
      },
    ),
  )

const hasTokens = ({ code }: Readonly<Model>): boolean => code === 'redeemed'

const refresh = command('refresh', hasTokens, async (model, real) => {
  const used = real.current
  const reply = await ask(real, refreshing(real, used))
  if (model.ended) return demand(reply.statusCode === 400, 'a grant that ended goes on', reply)
  demand(reply.statusCode === 200, 'a refresh token that nothing spent is refused', reply)
  keep(real, reply)
  real.previous = used
  model.refreshed = true
})

const retry = command(
  'the same refresh again',
  ({ refreshed }) => refreshed,
  async (model, real) => {
    const reply = await ask(real, refreshing(real, real.previous))
    if (model.ended) return demand(reply.statusCode === 400, 'a grant that ended goes on', reply)
    demand(reply.statusCode === 200, 'a retry is refused', reply)
    demand(reply.json().refresh_token === real.current, 'a retry gets another answer', reply)
  },
)

/** RFC 9700 §4.14.2. */
const reuse = command(
  'the used refresh token in another request',
  ({ refreshed }) => refreshed,
  async (model, real) => {
    const reply = await ask(real, refreshing(real, real.previous, { scope: 'read' }))
    demand(reply.statusCode === 400, 'a used refresh token is used again', reply)
    model.ended = true
  },
)

const revoke = command('revoke', hasTokens, async (model, real) => {
  const reply = await ask(real, right(real, '/revoke', { token: real.current }))
  demand(reply.statusCode === 200, 'a revocation is refused', reply)
  model.ended = true
})

const look = command('introspect', hasTokens, async (model, real) => {
  const reply = await ask(real, right(real, '/introspect', { token: real.access }, real.scene.api))
  demand(reply.json().active === !model.ended, `a token of a grant that ${model.ended ? 'ended' : 'stands'}`, reply)
})

const fault = fc.constantFrom(...faultNames)
const broken = fc.constantFrom(...damages)

const commands = fc.commands(
  [
    fc.constant(redeem),
    mismatched,
    fault.map((name) =>
      command(
        `redeem with ${name}`,
        () => true,
        async (model, real) => {
          const reply = await ask(real, faults[name](real, redemption(real)))
          demand(reply.statusCode >= 400, `a redemption with ${name} was not refused`, reply)
          // All that proves whose the code is was right: it is in two hands.
          if (name === 'another API' && model.code !== 'fresh') model.ended = true
        },
      ),
    ),
    broken.map((how) =>
      refused(
        `redeem, code ${how}`,
        () => true,
        (real) => damage(redemption(real), 'code', how),
      ),
    ),
    fc.constant(refresh),
    fc.constant(retry),
    fc.constant(reuse),
    fault.map((name) =>
      refused(`refresh with ${name}`, hasTokens, (real) => faults[name](real, refreshing(real, real.current))),
    ),
    broken.map((how) =>
      refused(`refresh, token ${how}`, hasTokens, (real) =>
        damage(refreshing(real, real.current), 'refresh_token', how),
      ),
    ),
    fc.constant(
      refused('refresh for more', hasTokens, (real) => refreshing(real, real.current, { scope: 'read write' })),
    ),
    fc.constant(revoke),
    fc
      .constantFrom<keyof typeof faults>(
        'wrong secret',
        'no client',
        'another client',
        'a content type',
        'another method',
      )
      .map((name) =>
        refused(`revoke with ${name}`, hasTokens, (real) =>
          faults[name](real, right(real, '/revoke', { token: real.current })),
        ),
      ),
    fc.constant(look),
  ],
  { maxCommands: 12, size: 'max' },
)

/** A code with what is done to it and to its tokens, right and wrong, in any order. */
export function sequences(scene: Scene, watch: Watch) {
  return fc.asyncProperty(commands, async (sequence) => {
    const first = await watch.turns.together(() => play(scene, watch, sequence, deadline))
    if (first instanceof LateError) await watch.turns.alone(() => playAgain(scene, watch, sequence))
    watch.settle()
  })
}

/** As any request that was late: while nothing else is under way, and as late as the machine is with everything. */
async function playAgain(scene: Scene, watch: Watch, sequence: Sequence): Promise<void> {
  for (let attempt = 2; ; attempt++) {
    const late = await play(scene, watch, sequence, await watch.allowance(scene.server))
    if (!late) return
    if (attempt === 4) throw new Violation(`${late.message}, the fourth of four times`)
  }
}

type Sequence = Iterable<AsyncCommand<Model, Real>>

/** @returns that it was given up since an answer was late */
async function play(scene: Scene, watch: Watch, sequence: Sequence, allowed: number): Promise<LateError | undefined> {
  const { server, client, user } = scene
  const issued = await issueCode(server, client, user.id, { scope: ['read'], resources: [apiIdentifier] })
  const start = (): { model: Model; real: Real } => ({
    model: { code: 'fresh', refreshed: false, ended: false },
    real: { scene, watch, issued, allowed, access: '', current: '', previous: '' },
  })
  try {
    await fc.asyncModelRun(start, sequence)
    return undefined
  } catch (error) {
    if (error instanceof LateError) return error
    throw error
  }
}
