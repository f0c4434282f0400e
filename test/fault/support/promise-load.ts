import { setTimeout as delay } from 'node:timers/promises'
import type { Context } from '../../../src/context.js'
import { grantRole, withdrawRole } from '../../../src/resources/index.js'
import { type RevocationTarget, revoke } from '../../../src/revocation/index.js'
import { type RoleHolder, sessions } from '../../../src/store/index.js'
import type { Chance } from './chance.js'
import type { Installation } from './installation.js'
import { Ledger, nameOf } from './ledger.js'
import type { People } from './people.js'
import { bound, type Checker, type Claims, type HeldToken, type Holdings } from './promise.js'
import { type Cast, roleName } from './promise-cast.js'
import { openRequester, type Requester } from './requester.js'
import { clientCredentials, introspect, redeem, refresh, revokeGrant, revokeToken, tokensOf } from './requests.js'
import type { Verifiers } from './verifiers.js'
import { openVisitor } from './visitor.js'

export interface PromiseScene {
  readonly installation: Installation
  /** An operator's, past everything that fails but PostgreSQL. */
  readonly ctx: Context
  readonly cast: Cast
  readonly verifiers: Verifiers
  readonly holdings: Holdings
  readonly checker: Checker
  readonly chance: Chance
}

export interface PromiseLoad {
  /** How many of each kind were answered. */
  readonly revocations: Readonly<Record<string, number>>
  /** Tokens that came with the scope of a role that had been withdrawn. */
  readonly withdrawn: readonly string[]
  /** @throws what somebody could not get over */
  readonly stop: () => Promise<void>
}

const by = { actor: 'operator' }
const cause = { ...by, reason: 'test' }

/** Of ten revocations so many; what ends many tokens at once is the rarer. */
const kinds = ['token', 'token', 'token', 'grant', 'grant', 'session', 'client', 'user', 'role', 'role'] as const

/** Issues, uses and revokes until it is stopped. @param senders how many use tokens, each as fast as it is answered */
export function startPromiseLoad(scene: PromiseScene, senders: number): PromiseLoad {
  const { installation, ctx, cast, verifiers, holdings, checker, chance } = scene
  const ledger = new Ledger()
  const revocations: Record<string, number> = {}
  const withdrawn: string[] = []
  /** The last refresh token of each grant. */
  const grants = new Map<string, { readonly people: People; readonly refresh: string }>()
  /** Who is without the role now. */
  const without = new Set<string>()
  const requesters: Requester[] = []
  let stopped = false

  const open = (name: string): Requester => {
    const requester = openRequester(installation, ledger, name, chance.fork(name))
    requesters.push(requester)
    return requester
  }
  const repeat = async (luck: Chance, pause: readonly [number, number], turn: () => Promise<void>): Promise<void> => {
    while (!stopped) {
      await turn()
      await delay(luck.between(...pause))
    }
  }

  const hold = async (people: People, requester: Requester, value: string): Promise<HeldToken | undefined> => {
    const claims = value.includes('.') ? undefined : await claimsOfOpaque(people, requester, value)
    return claims === 'unknown' ? undefined : holdings.add(value, claims)
  }

  const service = (people: People, index: number): Promise<void> => {
    const requester = open(`service ${index}`)
    return repeat(requester.chance, [30, 150], async () => {
      const answer = await requester.ask(clientCredentials(people))
      if (answer?.status === 200) await hold(people, requester, tokensOf(answer).access)
    })
  }

  const application = (people: People, index: number): Promise<void> => {
    const requester = open(`application ${index}`)
    const visitor = openVisitor(people, requester)
    return repeat(requester.chance, [50, 300], async () => {
      const code = await visitor.code()
      const key = nameOf(code.value)
      let answer = await requester.ask(redeem(people, code))
      for (let count = requester.chance.between(0, 3); answer?.status === 200; count--) {
        const tokens = tokensOf(answer)
        const held = await hold(people, requester, tokens.access)
        if (held) grants.set(held.claims.grant_id ?? '', { people, refresh: tokens.refresh })
        if (count <= 0 || stopped) break
        answer = await requester.ask(refresh(people, key, tokens.refresh))
      }
    })
  }

  const revoker = (index: number): Promise<void> => {
    const requester = open(`revoker ${index}`)
    const luck = requester.chance
    return repeat(luck, [20, 250], async () => {
      const kind = luck.oneOf(kinds)
      const ofUser = kind === 'grant' || kind === 'session' || kind === 'user'
      const token = goodOne(holdings, luck, (each) => !ofUser || each.kind === 'user')
      if (!token) return
      await end(kind, token, requester)
      revocations[kind] = (revocations[kind] ?? 0) + 1
    })
  }

  async function end(kind: (typeof kinds)[number], token: HeldToken, requester: Requester): Promise<void> {
    const { jti, client_id: clientId, sub, grant_id: grantId = '', sid = '' } = token.claims
    switch (kind) {
      case 'token': {
        const done = holdings.revoke(`token ${jti}`, { terminal: true })
        await requester.insist(revokeToken(cast.as(clientId), token.value))
        return done()
      }
      case 'grant': {
        const grant = grants.get(grantId)
        if (!grant) return
        // A refresh token that was spent meanwhile is of the same grant.
        const done = holdings.revoke(`grant ${grantId}`, { terminal: true })
        await requester.insist(revokeGrant(grant.people, grantId, grant.refresh))
        return done()
      }
      case 'session': {
        const session = await insist(() => sessions.findById(ctx.db, sid))
        if (session) await endByOperator(`session ${sid}`, { kind, id: sid, ...session })
        return
      }
      case 'client':
        return endByOperator(`client ${clientId}`, { kind, clientId })
      case 'user':
        return endByOperator(`user ${sub}`, { kind, userId: sub })
      case 'role':
        return withdraw({ kind: token.kind === 'user' ? 'user' : 'client', holder: sub }, token.claims.aud, requester)
    }
  }

  async function endByOperator(name: string, target: RevocationTarget): Promise<void> {
    const done = holdings.revoke(name, { terminal: target.kind === 'session' })
    await insist(() => revoke(ctx, target, cause))
    done()
  }

  /** Takes the role, sees that nobody gets its scope any more, and gives it back. */
  async function withdraw(holder: RoleHolder, audience: string, requester: Requester): Promise<void> {
    if (without.has(holder.holder)) return
    without.add(holder.holder)
    const done = holdings.revoke(`role ${holder.holder}`, { terminal: false })
    await insist(() => withdrawRole(ctx, audience, roleName, holder, by))
    done()
    const since = performance.now()
    await delay(bound)
    if (holder.kind === 'client') {
      const people = cast.as(holder.holder)
      for (const server of installation.servers) {
        const answer = await requester.ask(clientCredentials(people), server)
        if (answer?.status !== 200 || !JSON.parse(answer.body).scope.includes('read')) continue
        withdrawn.push(`by ${server.name}, ${Math.round(performance.now() - since)} ms later`)
      }
    }
    await insist(() => grantRole(ctx, audience, roleName, holder, by))
    without.delete(holder.holder)
  }

  const sender = async (index: number): Promise<void> => {
    const luck = chance.fork(`sender ${index}`)
    while (!stopped) {
      const token = nextToUse(holdings, luck)
      if (token) checker.judge(token, await verifiers.show(luck.oneOf(verifiers.of(token.claims.aud)), token.value))
      else await delay(20)
    }
  }

  const running = Promise.allSettled([
    ...cast.people.map(service),
    ...cast.people.map(application),
    ...[0, 1, 2].map(revoker),
    ...Array.from({ length: senders }, (_, index) => sender(index)),
  ])
  return {
    revocations,
    withdrawn,
    async stop() {
      stopped = true
      const results = await running
      for (const requester of requesters) requester.close()
      for (const result of results) if (result.status === 'rejected') throw result.reason
    },
  }
}

/** @returns unknown where nobody answers, or where it has ended already */
async function claimsOfOpaque(people: People, requester: Requester, value: string): Promise<Claims | 'unknown'> {
  const answer = await requester.ask(introspect(people, value, { model: 'token', key: nameOf(value) }))
  const { active, ...claims } = answer ? JSON.parse(answer.body) : { active: false }
  return active === true ? claims : 'unknown'
}

/** Of the last, one that nobody is about to end. */
export function goodOne(
  { tokens }: Holdings,
  luck: Chance,
  fits: (token: HeldToken) => boolean = () => true,
): HeldToken | undefined {
  for (let attempt = 0; attempt < 20 && tokens.length > 0; attempt++) {
    const token = luck.oneOf(tokens.slice(-60))
    if (token.ending === undefined && fits(token)) return token
  }
  return undefined
}

/** What ended just now, more often what ended before, and what is good. */
function nextToUse(holdings: Holdings, luck: Chance): HeldToken | undefined {
  const { ended, tokens } = holdings
  if (ended.length > 0 && luck.happens(0.65)) return luck.oneOf(luck.happens(0.7) ? ended.slice(-40) : ended)
  return luck.happens(0.8) ? goodOne(holdings, luck) : tokens.at(-luck.between(1, 10))
}

/** Tries until it is done: what an operator does whose command failed. */
export async function insist<Result>(work: () => Promise<Result>): Promise<Result> {
  const end = performance.now() + 90_000
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (performance.now() > end) throw error
      await delay(100)
    }
  }
}
