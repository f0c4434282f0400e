import type { Client } from '../clients/index.js'
import { ConsentRequiredError, InvalidScopeError, LoginRequiredError, type OAuthError } from '../oauth/index.js'
import type { Decision, Session } from '../store/index.js'
import { DeferredError } from './deferred-error.js'
import type { ClientDemands, LoginDemands } from './interaction.js'

/** A scope that this user can grant to this client. */
export interface OfferedScope {
  readonly name: string
  /** Those of the requested resources that own it and allow it to the user; empty where none owns it. */
  readonly resources: readonly string[]
  /** The user cannot leave it out. */
  readonly required: boolean
}

/** What consent is asked about: what can be granted, and what the user said about it before. */
export interface Consents {
  readonly offered: readonly OfferedScope[]
  readonly decisions: readonly Decision[]
}

export type Step =
  | { readonly kind: 'login'; readonly reason: LoginReason }
  | { readonly kind: 'consent' }
  | { readonly kind: 'respond'; readonly scope: readonly string[] }
  | { readonly kind: 'error'; readonly error: OAuthError }

export type LoginReason = 'signed_out' | 'reauthenticate' | 'select_account'

/** What the steps know of a request that waits for its user. */
export interface Waiting {
  readonly demands: Pick<ClientDemands, 'prompt' | 'maxAge' | 'scope' | 'refusal'>
  readonly client: Pick<Client, 'firstParty'>
  /** It is answered on the user's device. */
  readonly onDevice: boolean
  /** When its user signed in, in this interaction. */
  readonly authenticatedAt?: Date | undefined
  /** Somebody is signed in, and is not whom the request names. OIDC Core §3.1.2.2 */
  readonly isAnother: boolean
}

/**
 * What is left to do until the request can be answered. The only place that decides it. OIDC Core §3.1.2.1, §3.1.2.3.
 *
 * @param session undefined: nobody is signed in, and `consents` is not looked at
 */
export function nextStep(
  waiting: Waiting,
  session: Pick<Session, 'authTime'> | undefined,
  consents: Consents,
  now: Date,
): Step {
  const { demands, client, authenticatedAt } = waiting
  const silent = demands.prompt.includes('none')
  if (waiting.isAnother && authenticatedAt) {
    // Attack 22: asked, they signed in as somebody else again.
    const message = 'The user who signed in is not the one that was asked for.'
    return { kind: 'error', error: new LoginRequiredError(message, { reason: 'login_of_another_user' }) }
  }
  const reason = waiting.isAnother ? 'select_account' : whyLogin(demands, authenticatedAt, session, now)
  if (reason) {
    if (!silent) return { kind: 'login', reason }
    return { kind: 'error', error: new LoginRequiredError('The user has to sign in.', { reason: `login_${reason}` }) }
  }

  if (demands.refusal) {
    const { code, description, reason } = demands.refusal
    return { kind: 'error', error: new DeferredError(description, { code, reason }) }
  }
  const { offered } = consents
  if (demands.scope.length > 0 && offered.length === 0) {
    return {
      kind: 'error',
      error: new InvalidScopeError('None of the scopes can be granted by this user.', { reason: 'scope_not_allowed' }),
    }
  }
  if (needsConsent(waiting, consents)) {
    if (!silent) return { kind: 'consent' }
    return {
      kind: 'error',
      error: new ConsentRequiredError('The user has to consent.', { reason: 'consent_required' }),
    }
  }
  const granted = client.firstParty ? offered : offered.filter((scope) => isGranted(scope, consents.decisions))
  return { kind: 'respond', scope: granted.map(({ name }) => name) }
}

/** The same for a page of ours, which only asks who is signed in, and since when. */
export function nextStepToPage(
  { demands, authenticatedAt }: { readonly demands: LoginDemands; readonly authenticatedAt?: Date | undefined },
  session: Pick<Session, 'authTime'> | undefined,
  now: Date,
): Step {
  const reason = whyLogin(demands, authenticatedAt, session, now)
  return reason ? { kind: 'login', reason } : { kind: 'respond', scope: [] }
}

function whyLogin(
  { prompt, maxAge }: Pick<LoginDemands, 'prompt' | 'maxAge'>,
  authenticatedAt: Date | undefined,
  session: Pick<Session, 'authTime'> | undefined,
  now: Date,
): LoginReason | undefined {
  if (!session) return 'signed_out'
  // A login in this interaction satisfies everything, if the session is that one or a newer one.
  if (authenticatedAt && session.authTime >= authenticatedAt) return undefined
  if (prompt.includes('login')) return 'reauthenticate'
  if (prompt.includes('select_account')) return 'select_account'
  // OIDC Core §3.1.2.1: a max_age of 0 asks for what prompt=login does (attack 21).
  const isTooOld = maxAge === 0 || (maxAge !== undefined && now.getTime() - session.authTime.getTime() > maxAge * 1000)
  return isTooOld ? 'reauthenticate' : undefined
}

function needsConsent({ client, onDevice, demands }: Waiting, consents: Consents): boolean {
  // RFC 8252 §8.6: an app on a device cannot prove which app it is, so the user is asked every time.
  if (onDevice || demands.prompt.includes('consent')) return true
  if (client.firstParty) return false

  const { offered, decisions } = consents
  if (offered.length === 0) return !decisions.some((decision) => isSignIn(decision) && decision.granted)
  if (!offered.every((scope) => isDecided(scope, decisions))) return true
  // What was refused before, and is now all that is asked for or required, is asked again: else no way led on.
  const granted = offered.filter((scope) => isGranted(scope, decisions))
  return granted.length === 0 || offered.some((scope) => scope.required && !granted.includes(scope))
}

/** How the decisions on a scope are kept: one for each resource that owns it, or one for none. */
export function decisionsOn(offered: readonly OfferedScope[], granted: ReadonlySet<string>): readonly Decision[] {
  // Nothing but who the user is: that is remembered too.
  if (offered.length === 0) return [{ resource: '', scope: '', granted: true }]
  return offered.flatMap(({ name, resources }) =>
    (resources.length > 0 ? resources : ['']).map((resource) => ({
      resource,
      scope: name,
      granted: granted.has(name),
    })),
  )
}

/** Whether the user refused the scope before. */
export function isRefused(scope: OfferedScope, decisions: readonly Decision[]): boolean {
  return isDecided(scope, decisions) && !isGranted(scope, decisions)
}

function isDecided(scope: OfferedScope, decisions: readonly Decision[]): boolean {
  return everyOwner(scope, decisions, () => true)
}

function isGranted(scope: OfferedScope, decisions: readonly Decision[]): boolean {
  return everyOwner(scope, decisions, ({ granted }) => granted)
}

function everyOwner(
  { name, resources }: OfferedScope,
  decisions: readonly Decision[],
  test: (decision: Decision) => boolean,
): boolean {
  const owners = resources.length > 0 ? resources : ['']
  return owners.every((owner) =>
    decisions.some((decision) => decision.scope === name && decision.resource === owner && test(decision)),
  )
}

const isSignIn = ({ resource, scope }: Decision): boolean => resource === '' && scope === ''
