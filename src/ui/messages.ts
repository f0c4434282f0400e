/** What the pages say in answer to a code, a scope or a claim; whatever one page alone says stands in that page. */

/** Why a login was not accepted. None of them tells whether the account exists. */
export type LoginFailure = 'wrong_credentials' | 'held_back' | 'busy' | 'expired'

/** @param retryAfter seconds, for `held_back` and `busy` */
export function loginFailureMessage(failure: LoginFailure, retryAfter?: number): string {
  const when = retryAfter === undefined ? 'later' : `in ${durationText(retryAfter)}`
  switch (failure) {
    case 'wrong_credentials':
      return 'The e-mail address or the password is wrong. Please try again.'
    case 'held_back':
      return `There were too many attempts that failed, so signing in is paused here. Please try again ${when}.`
    case 'busy':
      return retryAfter === undefined
        ? 'The server is busy and could not check what you entered. Please try again in a moment.'
        : `The server is busy and could not check what you entered. Please try again ${when}.`
    case 'expired':
      return 'This page was open for too long, so nothing was sent. Please sign in now.'
  }
}

/** Seconds in words, rounded up: who waits this long has waited long enough. */
export function durationText(seconds: number): string {
  const count = (amount: number, unit: string) => `${amount} ${unit}${amount === 1 ? '' : 's'}`
  const whole = Math.max(1, Math.ceil(seconds))
  if (whole < 120) return whole === 60 ? '1 minute' : count(whole, 'second')
  const minutes = Math.ceil(whole / 60)
  if (minutes < 120) return minutes === 60 ? '1 hour' : count(minutes, 'minute')
  const hours = Math.ceil(minutes / 60)
  return hours < 48 ? count(hours, 'hour') : count(Math.ceil(hours / 24), 'day')
}

/** What the scopes that every installation knows allow, to be read after "It asks to". OIDC Core §5.4, §11. */
const STANDARD_SCOPES: Readonly<Record<string, string>> = {
  openid: 'Know that it is you who signs in',
  profile: 'See your name and profile',
  email: 'See your e-mail address',
  address: 'See your postal address',
  phone: 'See your phone number',
  offline_access: 'Stay connected and keep this access when you are away',
  api_keys: 'See, make, change and end API keys that act for you',
}

/**
 * The sentence of a scope on the consent page: the standard's for a standard scope, else the resource's own, else the
 * bare name, so that nothing is ever asked for in silence.
 */
export function scopeSentence(scope: { readonly name: string; readonly sentence: string }): string {
  const standard = Object.hasOwn(STANDARD_SCOPES, scope.name) ? STANDARD_SCOPES[scope.name] : undefined
  return standard ?? (scope.sentence.trim() || `Use the permission “${scope.name}”`)
}

/** What a dead end says: what happened, and what the reader can do about it. */
export interface ErrorText {
  readonly message: string
  readonly advice: string
}

const GO_BACK = 'Go back to the application and start again from there.'

/** The dead ends of a login in the browser, for error pages. */
export const errorTexts = {
  unknownClient: {
    message: 'The application that sent you here is not known to this server, so nobody was signed in.',
    advice: 'If you followed a link, it may be old or mistyped. Tell the people who run the application.',
  },
  clientDocument: {
    message: 'This server could not read what the application that sent you here says about itself.',
    advice:
      'Nobody was signed in. Try again in a minute. If it happens again, tell the people who run the application.',
  },
  invalidRedirectUri: {
    message: 'The application asked to send you back to an address that is not registered for it.',
    advice: 'For your safety you were not sent there. Tell the people who run the application, with the request id.',
  },
  invalidRequest: {
    message: 'The request that brought you here is not valid, so nobody was signed in.',
    advice: `${GO_BACK} If it happens again, tell the people who run it, with the request id.`,
  },
  interactionExpired: {
    message: 'This sign-in took too long or was already finished.',
    advice: `${GO_BACK} You may be signed in there already.`,
  },
  signInExpired: {
    message: 'This sign-in took too long.',
    advice: 'Start again: a login page is good for some minutes only.',
  },
  otherBrowser: {
    message: 'This sign-in was not started in this browser, or the browser did not keep its cookie.',
    advice: `Allow cookies for this site, and finish in the browser in which you began. ${GO_BACK}`,
  },
  formNotOurs: {
    message: 'The form that was sent does not belong to this sign-in, so nothing was done.',
    advice: 'A page from another tab or from the browser’s history may have been sent. Load the page again.',
  },
  otherNetwork: {
    message: 'This account may not be used from the network that you are in, so you were not signed in.',
    advice: 'Sign in from a network that it is for. Whoever runs this server says which these are.',
  },
  logoutRefused: {
    message: 'You were not signed out: the request that brought you here is not valid.',
    advice: 'Sign out in your account at this server. If it happens again, tell the people who run the application.',
  },
  apiKeyUnknown: {
    message: 'You have no API key at this address.',
    advice: 'Look for it in the list of your API keys. Keys of other people and of applications are not shown to you.',
  },
  apiKeyQuota: {
    message: 'Your API keys were made, rotated or changed very often in the last hour, so nothing was done.',
    advice: 'Wait a few minutes, then send the form again. You can end a key at any time.',
  },
  notFound: {
    message: 'There is no page at this address.',
    advice: 'If you typed it, check it for a mistake. If you want to sign in, start from the application.',
  },
  methodNotAllowed: {
    message: 'This address does not take that kind of request.',
    advice: GO_BACK,
  },
  tooManyRequests: {
    message: 'There were too many attempts from your network.',
    advice: 'Wait a few minutes, then try again.',
  },
  unavailable: {
    message: 'The server cannot do this at the moment. Nothing was changed.',
    advice: 'Wait a moment, then load this page again.',
  },
  internal: {
    message: 'The server made a mistake. It was written down, and it is not your fault.',
    advice: 'Try again. If it happens again, tell whoever runs this server, with the request id.',
  },
} as const satisfies Readonly<Record<string, ErrorText>>

export type ApiKeyStateName = 'live' | 'rotated' | 'expired' | 'ended'

/** What a key is worth, in a word. */
export function apiKeyStateText(state: ApiKeyStateName): string {
  switch (state) {
    case 'live':
      return 'Live'
    case 'rotated':
      return 'Replaced'
    case 'expired':
      return 'Expired'
    case 'ended':
      return 'Ended'
  }
}

const END_REASONS: Readonly<Record<string, string>> = {
  revoked_by_user: 'You ended it in your account',
  revoked_by_http: 'An application ended it',
  revoked_by_operator: 'The people who run this server ended it',
}

/** Who ended a key, as far as its reason says. */
export function apiKeyEndText(reason: string | undefined): string {
  return (
    (reason !== undefined && Object.hasOwn(END_REASONS, reason) ? END_REASONS[reason] : undefined) ?? 'It was ended'
  )
}

/** What a parameter of the token's header says. RFC 7515 §4.1, RFC 9068 §2.1. */
const HEADER_MEANINGS: Readonly<Record<string, string>> = {
  alg: 'The signature algorithm. A verifier accepts only those it expects.',
  typ: 'Says that this is an access token, so that no other kind of token passes for one.',
  kid: 'Names the key that signed it; the key itself is in the server’s JWKS.',
}

/** What a claim says. RFC 7519 §4.1, RFC 9068 §2.2, RFC 8693 §4. */
const CLAIM_MEANINGS: Readonly<Record<string, string>> = {
  iss: 'The issuer: the server that made and signed the token.',
  sub: 'The subject: the user, or the client itself where no user takes part.',
  aud: 'The audience: the API that may accept the token. Every other must refuse it.',
  client_id: 'The client that the token was given to.',
  scope: 'What the token allows.',
  exp: 'When it expires. After that it is worth nothing.',
  iat: 'When it was issued.',
  nbf: 'Not valid before this moment.',
  jti: 'The token’s own id, by which it can be revoked.',
  grant_id: 'The consent behind the token. Revoke it, and everything that came from it ends.',
  sid: 'The login session: the token ends when you sign out.',
  auth_time: 'When the user last proved who they are.',
  acr: 'How strongly the user was authenticated.',
  amr: 'The means by which the user was authenticated.',
  roles: 'The roles that the user holds at this API.',
  groups: 'The groups that the user belongs to.',
  entitlements: 'What the user is entitled to at this API.',
  cnf: 'The key that a caller must prove to hold: a stolen token alone is useless.',
  act: 'Who acts on behalf of the subject.',
  may_act: 'Who may act on behalf of the subject.',
}

/** One sentence on a parameter of a token's header. */
export function headerMeaning(name: string): string {
  return meaning(HEADER_MEANINGS, name, 'A parameter of the signature.')
}

/** One sentence on a claim of a token. */
export function claimMeaning(name: string): string {
  return meaning(CLAIM_MEANINGS, name, 'A claim that this API asked for.')
}

function meaning(meanings: Readonly<Record<string, string>>, name: string, otherwise: string): string {
  return (Object.hasOwn(meanings, name) ? meanings[name] : undefined) ?? otherwise
}
