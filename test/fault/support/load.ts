import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { chance } from './chance.js'
import { seed } from './form.js'
import type { Installation } from './installation.js'
import { Ledger, nameOf } from './ledger.js'
import type { People } from './people.js'
import { openRequester, type Requester } from './requester.js'
import {
  type Code,
  clientCredentials,
  guess,
  introspect,
  redeem,
  refresh,
  revokeGrant,
  revokeToken,
  type Tokens,
  tokensOf,
} from './requests.js'
import { openVisitor } from './visitor.js'

/** A grant as its application knows it. */
export interface Family {
  readonly key: string
  readonly code: Code
  /** What came last. */
  readonly tokens: Tokens
  /** A refresh token that was spent before, and whose successor was used. */
  readonly old?: string
  /** Ended by a revocation that was answered 200, or by a second use that was answered `invalid_grant`. */
  readonly ended: boolean
}

/** What the clients hold when they stop. */
export interface Holdings {
  readonly families: readonly Family[]
  readonly tokens: readonly { readonly access: string; readonly revoked: boolean }[]
}

export interface Load {
  readonly ledger: Ledger
  readonly people: People
  readonly seed: string
  /** Lets every client finish what it is at, retries included, and stop. @throws what a client could not get over */
  readonly stop: () => Promise<Holdings>
}

export interface LoadOptions {
  /** Default 4. */
  readonly applications?: number
  /** Default 2. */
  readonly services?: number
  /** Milliseconds that a client waits between two operations, at most; default 30. */
  readonly pause?: number
}

/** As many grants and tokens are kept to the end by each client: the oldest are dropped. */
const kept = 40

/** Clients that do all they can, each at its own pace, until they are stopped. */
export function startLoad(t: Test, installation: Installation, people: People, options: LoadOptions = {}): Load {
  const { applications = 4, services = 2, pause = 30 } = options
  const ledger = new Ledger(people.retryWindow)
  const all = chance(`${seed}/${t.fullname}`)
  const families: Family[] = []
  const tokens: { access: string; revoked: boolean }[] = []
  let stopped = false
  const requesters: Requester[] = []
  const open = (name: string): Requester => {
    const requester = openRequester(installation, ledger, name, all.fork(name))
    requesters.push(requester)
    return requester
  }
  const rest = (requester: Requester): Promise<void> => delay(requester.chance.between(0, pause))

  const repeat = async (requester: Requester, turn: () => Promise<void>): Promise<void> => {
    while (!stopped) {
      await turn()
      await rest(requester)
    }
  }

  const application = async (name: string): Promise<void> => {
    const requester = open(name)
    const visitor = openVisitor(people, requester)
    const mine: Family[] = []
    await repeat(requester, async () => {
      const family = await liveOf(people, requester, await visitor.code(), () => rest(requester))
      if (family) mine.push(family)
      if (mine.length > kept) mine.shift()
    })
    families.push(...mine)
  }

  const service = async (name: string): Promise<void> => {
    const requester = open(name)
    const mine: { access: string; revoked: boolean }[] = []
    await repeat(requester, async () => {
      const token = await serviceTurn(people, requester)
      if (token) mine.push(token)
      if (mine.length > kept) mine.shift()
    })
    tokens.push(...mine)
  }

  /** One account after the other is guessed at until it is held back, and some more. */
  const guesser = async (): Promise<void> => {
    const requester = open('guesser')
    for (const victim of people.victims) {
      for (let count = 0; count < 16 && !stopped; count++) {
        await Promise.all(Array.from({ length: requester.chance.between(1, 3) }, () => requester.ask(guess(victim))))
        await delay(requester.chance.between(0, pause * 4))
      }
    }
  }

  const running = Promise.allSettled([
    ...Array.from({ length: applications }, (_, index) => application(`application ${index}`)),
    ...Array.from({ length: services }, (_, index) => service(`service ${index}`)),
    guesser(),
  ])
  t.teardown(async () => {
    stopped = true
    for (const requester of requesters) requester.close()
    await running
  })
  t.comment(`seed ${seed}: OSTIARY_FAULT_SEED=${seed} makes the same choices again`)

  return {
    ledger,
    people,
    seed,
    async stop() {
      stopped = true
      for (const result of await running) if (result.status === 'rejected') throw result.reason
      for (const requester of requesters) requester.close()
      return { families, tokens }
    },
  }
}

/** A token of its own right; some are taken back. */
async function serviceTurn(
  people: People,
  requester: Requester,
): Promise<{ access: string; revoked: boolean } | undefined> {
  const { chance: luck } = requester
  const answer = await requester.ask(clientCredentials(people))
  if (!answer) return undefined
  const { access } = tokensOf(answer)
  const about = { model: 'token', key: nameOf(access) } as const
  if (luck.happens(0.5)) await requester.ask(introspect(people, access, about))
  if (!luck.happens(0.3)) return { access, revoked: false }
  // Asked while it is revoked, and after.
  const asked = luck.happens(0.5) ? requester.ask(introspect(people, access, about)) : undefined
  await requester.insist(revokeToken(people, access))
  await asked
  await requester.ask(introspect(people, access, about))
  return { access, revoked: true }
}

/** The life of one login: a code, a chain of refreshes, and what becomes of it. @returns undefined where it came to nothing */
async function liveOf(
  people: People,
  requester: Requester,
  code: Code,
  rest: () => Promise<void>,
): Promise<Family | undefined> {
  const { chance: luck } = requester
  const key = nameOf(code.value)
  const spend = redeem(people, code)
  if (luck.happens(0.08)) {
    // In two hands: several send it at once. At most one gets tokens, and those are ended.
    await Promise.all(Array.from({ length: luck.between(2, 5) }, () => requester.ask(spend)))
    await requester.insist(spend)
    return undefined
  }
  const first = await requester.ask(spend)
  if (first?.status !== 200) {
    // A lost answer is lost: the person signs in again. Some try the same code once more.
    if (luck.happens(0.3)) await requester.ask(spend)
    return undefined
  }

  let tokens = tokensOf(first)
  let old: string | undefined
  const about = { model: 'grant', key } as const
  for (let count = luck.between(1, 8); count > 0; count--) {
    await rest()
    const again = refresh(people, key, tokens.refresh)
    // An impatient client asks twice, wherever its requests happen to go.
    const twice = luck.happens(0.1) ? requester.ask(again) : undefined
    const answer = await requester.insist(again)
    // A retry that is late by the clock of the process that it came to ends the grant, whoever was answered first.
    const refused = (await twice)?.status === 400 || answer.status !== 200
    if (refused) return { key, code, tokens, ended: true }
    old = tokens.refresh
    tokens = tokensOf(answer)
    if (luck.happens(0.25)) await requester.ask(introspect(people, tokens.access, about))
  }

  if (luck.happens(0.2)) {
    const asked = luck.happens(0.5) ? requester.ask(introspect(people, tokens.access, about)) : undefined
    await requester.insist(revokeGrant(people, key, tokens.refresh))
    await asked
    await requester.ask(introspect(people, tokens.access, about))
    return { key, code, tokens, ended: true }
  }
  if (luck.happens(0.15) && old !== undefined) {
    // The token that was spent, by another request than the one that spent it: a thief's.
    await requester.insist(refresh(people, key, old, 'narrow'))
    return { key, code, tokens, ended: true }
  }
  if (luck.happens(0.1)) {
    await requester.insist(spend)
    return { key, code, tokens, ended: true }
  }
  return { key, code, tokens, ended: false, ...(old === undefined ? {} : { old }) }
}
