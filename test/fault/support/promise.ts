import type { Use } from './verifiers.js'

/** Milliseconds from the answer of 200 to a revocation until every verifier refuses what it ended. */
export const bound = 1_000

/** An access token as its holder knows it. Times are monotonic milliseconds. */
export interface HeldToken {
  readonly value: string
  readonly kind: 'service' | 'user'
  readonly format: 'jwt' | 'opaque'
  /** Everything whose revocation ends it: `grant 0d6c…`. */
  readonly targets: readonly string[]
  readonly claims: Claims
  readonly answered: number
  /** Since when it may be ended: somebody was about to revoke one of its targets. */
  readonly ending: number | undefined
  /** Since when it is ended: the revocation was answered. */
  readonly ended: number | undefined
}

export interface Claims {
  readonly aud: string
  readonly jti: string
  readonly client_id: string
  readonly sub: string
  readonly iat: number
  readonly grant_id?: string
  readonly sid?: string
}

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] }

/** A revocation under way, or answered. */
interface Ending {
  /** What it names never comes back. Else it ends what was issued up to a second. */
  readonly terminal: boolean
  /** Monotonic milliseconds, and the whole second in which it was answered, since 1970. */
  done?: { readonly at: number; readonly second: number }
}

/** What is known of all tokens: which of them is good for certain, and which ended. */
export class Holdings {
  readonly tokens: HeldToken[] = []
  /** In the order of their end. */
  readonly ended: HeldToken[] = []
  readonly #byTarget = new Map<string, Mutable<HeldToken>[]>()
  readonly #endings = new Map<string, Ending[]>()

  /** @param introspected what the server says of an opaque token, which says nothing itself */
  add(value: string, introspected?: Claims): HeldToken {
    const { claims, kid } = introspected ? { claims: introspected } : readJwt(value)
    const token: Mutable<HeldToken> = {
      value,
      kind: claims.grant_id === undefined ? 'service' : 'user',
      format: introspected ? 'opaque' : 'jwt',
      targets: targetsOf(claims, kid),
      claims,
      answered: performance.now(),
      ending: undefined,
      ended: undefined,
    }
    this.tokens.push(token)
    for (const target of token.targets) {
      const all = this.#byTarget.get(target) ?? []
      all.push(token)
      this.#byTarget.set(target, all)
      for (const ending of this.#endings.get(target) ?? []) this.#concern(token, ending, false)
    }
    return token
  }

  /**
   * Before a revocation is asked for.
   *
   * @returns to be called as soon as it was answered 200
   */
  revoke(target: string, { terminal }: { readonly terminal: boolean }): () => void {
    const ending: Ending = { terminal }
    this.#endings.set(target, [...(this.#endings.get(target) ?? []), ending])
    const before = [...(this.#byTarget.get(target) ?? [])]
    for (const token of before) this.#concern(token, ending, true)
    return () => {
      ending.done = { at: performance.now(), second: Math.floor(Date.now() / 1000) }
      const held = new Set(before)
      for (const token of this.#byTarget.get(target) ?? []) this.#concern(token, ending, held.has(token))
    }
  }

  /**
   * A token that was held before the revocation was asked for is ended with its answer. What was issued meanwhile is ended if
   * the target cannot come back, and by a not-before if its `iat` is not behind it: where it may be, nothing is known of it.
   */
  #concern(token: Mutable<HeldToken>, { terminal, done }: Ending, heldBefore: boolean): void {
    if (done && !terminal && token.claims.iat > done.second) return
    token.ending ??= performance.now()
    if (!done || token.ended !== undefined || !(terminal || heldBefore)) return
    token.ended = performance.now()
    this.ended.push(token)
  }
}

function readJwt(value: string): { readonly claims: Claims; readonly kid: string } {
  const [header, payload] = value.split('.').map((part) => Buffer.from(part, 'base64url').toString())
  return { claims: JSON.parse(payload ?? ''), kid: JSON.parse(header ?? '').kid }
}

function targetsOf({ jti, client_id, sub, grant_id, sid }: Claims, kid?: string): readonly string[] {
  const targets = [`token ${jti}`, `client ${client_id}`, `role ${sub}`]
  if (kid !== undefined) targets.push(`key ${kid}`)
  if (grant_id !== undefined) targets.push(`grant ${grant_id}`, `user ${sub}`)
  if (sid !== undefined) targets.push(`session ${sid}`)
  return targets
}

/** How a promise is broken. */
export interface Breach {
  readonly what:
    | 'a revoked token was accepted'
    | 'a good token was refused'
    | 'a good token was put off by fresh knowledge'
    | 'a token was put off without a question to the server'
    | 'an answer that no verifier gives'
  readonly detail: string
}

/** Holds what verifiers say against what they must say, and counts. */
export class Checker {
  readonly breaches: Breach[] = []
  readonly totals = {
    requests: 0,
    accepted: 0,
    refused: 0,
    unavailable: 0,
    /** Sent after the bound with a token that ended, and what came of them. */
    after: 0,
    afterRefused: 0,
    afterUnavailable: 0,
    /** With a token that was good all the while. */
    good: 0,
    goodAccepted: 0,
    /** Of all these, by who asks the server: of each opaque token, and of a JWT where its knowledge was too old. */
    opaque: 0,
    opaqueAfter: 0,
    introspectedAccepted: 0,
    introspectedAfter: 0,
  }
  /** Milliseconds behind the end of a token at which it was accepted last. */
  longest = 0
  /** When verifiers accepted an opaque token for the first time: from then on they remember it. */
  readonly #remembered = new WeakMap<HeldToken, Map<number, number>>()

  judge(token: HeldToken, use: Use): void {
    const { totals } = this
    const { status, sent, answered, before, after } = use
    const isOpaque = token.format === 'opaque'
    const isIntrospected = !isOpaque && use.onStale === 'introspect' && before === 'stale' && after === 'stale'
    totals.requests++
    if (isOpaque) totals.opaque++
    if (status === 200) totals.accepted++
    else if (status === 401) totals.refused++
    else if (status === 503) totals.unavailable++
    const isHonest = status === 200 || status === 401 || (status === 503 && /^[1-9]\d*$/.test(use.retryAfter ?? ''))
    if (!isHonest) this.#breach('an answer that no verifier gives', token, use)
    // Who may ask puts off nobody for what he does not know: only where nobody answers him.
    const mayAsk = isOpaque || use.onStale === 'introspect'
    if (status === 503 && mayAsk && use.reason !== 'introspection_unavailable') {
      this.#breach('a token was put off without a question to the server', token, use)
    }

    const { ended } = token
    if (ended !== undefined && sent > ended) {
      if (status === 200) this.longest = Math.max(this.longest, sent - ended)
      if (sent > ended + bound) {
        totals.after++
        if (isOpaque) totals.opaqueAfter++
        if (isIntrospected && use.reason === 'inactive') totals.introspectedAfter++
        if (status === 401) totals.afterRefused++
        else if (status === 503) totals.afterUnavailable++
        else this.#breach('a revoked token was accepted', token, use)
      }
    }
    if (token.ending === undefined || token.ending > answered) {
      totals.good++
      // Also where it knows too little: that is 503, and never the token's fault.
      if (status === 401) this.#breach('a good token was refused', token, use)
      if (status === 503 && before === 'ready' && after === 'ready' && (!isOpaque || this.#remembers(token, use))) {
        this.#breach('a good token was put off by fresh knowledge', token, use)
      }
      if (status === 200) totals.goodAccepted++
    }
    if (status === 200 && isOpaque) this.#remember(token, use)
    if (status === 200 && isIntrospected) totals.introspectedAccepted++
  }

  #remember(token: HeldToken, { verifier, answered }: Use): void {
    const since = this.#remembered.get(token) ?? new Map<number, number>()
    since.set(verifier, Math.min(answered, since.get(verifier) ?? answered))
    this.#remembered.set(token, since)
  }

  #remembers(token: HeldToken, { verifier, sent }: Use): boolean {
    const since = this.#remembered.get(token)?.get(verifier)
    return since !== undefined && since < sent
  }

  #breach(what: Breach['what'], { format, kind, ended, answered, targets }: HeldToken, use: Use): void {
    const since = (time: number | undefined): string => (time === undefined ? '-' : `${Math.round(use.sent - time)} ms`)
    const detail = `${format} of a ${kind}, issued ${since(answered)} and ended ${since(ended)} before: ${JSON.stringify(use)} ${targets.join(', ')}`
    this.breaches.push({ what, detail })
  }
}
