import { isStrings, type JsonObject } from './json.js'

/** Why a token is refused, for logs and for `explain`; a client is told none of it. */
export type ClaimsProblem =
  | 'type_wrong'
  | 'issuer_wrong'
  | 'audience_wrong'
  | 'claim_missing'
  | 'expired'
  | 'not_yet_valid'
  | 'issued_in_future'

export interface ClaimsExpected {
  readonly issuer: string
  readonly audience: string
  readonly tokens: 'access' | 'gateway'
  /** Seconds that clocks may differ. */
  readonly skew: number
}

const types = {
  access: { name: 'at+jwt', form: /^(?:application\/)?at\+jwt$/i },
  gateway: { name: 'gateway+jwt', form: /^(?:application\/)?gateway\+jwt$/i },
} as const

interface Checked extends ClaimsExpected {
  readonly header: JsonObject
  readonly claims: JsonObject
  /** Seconds since 1970, with fractions. */
  readonly now: number
}

export interface ClaimsCheck {
  readonly name: string
  readonly section: string
  /** Undefined where all is well. */
  readonly problem: (checked: Checked) => ClaimsProblem | undefined
  /** What was found, for whoever asks why. It quotes nothing secret: claims are for the API to read. */
  readonly describe: (checked: Checked) => string
}

/** A whole or fractional number of seconds since 1970 that is one. RFC 7519 §2. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= 1e11
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

/** Everything that is checked of what a signature vouches for, in this order. RFC 9068 §4. */
export const claimsChecks: readonly ClaimsCheck[] = [
  {
    name: 'typ',
    section: 'RFC 9068 §4',
    // An ID token, a logout token or a client's assertion is no access token, whoever signed it (attack 77).
    problem: ({ header: { typ }, tokens }) =>
      typ === types[tokens].name || (typeof typ === 'string' && types[tokens].form.test(typ))
        ? undefined
        : 'type_wrong',
    describe: ({ header, tokens }) => `${show(header['typ'])}; expected is ${types[tokens].name}`,
  },
  {
    name: 'iss',
    section: 'RFC 9068 §4',
    problem: ({ claims, issuer }) => (claims['iss'] === issuer ? undefined : 'issuer_wrong'),
    describe: ({ claims, issuer }) => `${show(claims['iss'])}; expected is ${show(issuer)}`,
  },
  {
    name: 'aud',
    section: 'RFC 9068 §4',
    // For us, and for nobody else but the server, which tells at UserInfo who it is about: another API that gets it could use
    // it here (attack 78).
    problem: ({ claims: { aud }, audience, issuer }) =>
      aud === audience || (isStrings(aud) && isForUs(aud, audience, issuer)) ? undefined : 'audience_wrong',
    describe: ({ claims, audience }) =>
      `${show(claims['aud'])}; expected is ${show(audience)}, and nothing else but the issuer`,
  },
  {
    name: 'required claims',
    section: 'RFC 9068 §2.2',
    problem: ({ claims: { sub, client_id, jti, iat, exp, nbf, scope, grant_id, sid } }) =>
      isText(sub) &&
      isText(client_id) &&
      isText(jti) &&
      isTime(iat) &&
      isTime(exp) &&
      (nbf === undefined || isTime(nbf)) &&
      (scope === undefined || typeof scope === 'string') &&
      // A revocation could not be matched against these if they were anything else.
      (grant_id === undefined || isText(grant_id)) &&
      (sid === undefined || isText(sid))
        ? undefined
        : 'claim_missing',
    describe: () => 'sub, client_id, jti, iat and exp must be there, and be of their types',
  },
  {
    name: 'exp',
    section: 'RFC 7519 §4.1.4',
    problem: ({ claims: { exp }, now, skew }) => (isTime(exp) && now < exp + skew ? undefined : 'expired'),
    describe: ({ claims, now }) => showTime(claims['exp'], now),
  },
  {
    name: 'nbf',
    section: 'RFC 7519 §4.1.5',
    problem: ({ claims: { nbf }, now, skew }) =>
      nbf === undefined || (isTime(nbf) && nbf <= now + skew) ? undefined : 'not_yet_valid',
    describe: ({ claims, now }) => (claims['nbf'] === undefined ? 'not given' : showTime(claims['nbf'], now)),
  },
  {
    name: 'iat',
    section: 'RFC 7519 §4.1.6',
    problem: ({ claims: { iat, exp }, now, skew }) =>
      isTime(iat) && isTime(exp) && iat <= now + skew && iat <= exp ? undefined : 'issued_in_future',
    describe: ({ claims, now }) => showTime(claims['iat'], now),
  },
]

/** Whether it is for this API, and for nobody else but the server, where it tells who its user is (OIDC Core §5.3). */
export function isForUs(aud: readonly string[], audience: string, issuer: string): boolean {
  return aud.includes(audience) && aud.every((each) => each === audience || each === issuer)
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

function showTime(value: unknown, now: number): string {
  if (!isTime(value)) return `${show(value)} is no time`
  const seconds = Math.round(value - now)
  const date = new Date(value * 1000).toISOString()
  return seconds < 0 ? `${date}, ${-seconds} s ago` : `${date}, in ${seconds} s`
}

/** @returns the first problem */
export function problemOfClaims(checked: Checked): ClaimsProblem | undefined {
  for (const { problem } of claimsChecks) {
    const found = problem(checked)
    if (found !== undefined) return found
  }
  return undefined
}
