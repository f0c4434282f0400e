import { deprecationOf } from './api-keys/answer.js'
import { looksLikeApiKey, parseApiKey } from './api-keys/format.js'
import { createKnownKeys } from './api-keys/known-keys.js'
import { type ClaimsCheck, claimsChecks } from './claims.js'
import type { Connection } from './connect.js'
import { parseObjectBytes } from './json.js'
import { type Jws, readJws, verifyJws } from './jws.js'
import type { Settings } from './options.js'
import { bearer } from './schemes/bearer.js'

/** One thing that was looked at. */
export interface Finding {
  readonly name: string
  /** `unknown`: it could not be looked at. */
  readonly outcome: 'ok' | 'refused' | 'unknown'
  readonly detail: string
}

/** Looks at everything that decides over a token, also behind the first thing that is wrong. Quotes no part of it whole. */
export async function explain(token: string, settings: Settings, connection: Connection): Promise<readonly Finding[]> {
  if (settings.tokens === 'gateway' && (looksLikeApiKey(token) || !token.includes('.'))) {
    return [refused('form', 'an API key or opaque token: a gateway passes on neither')]
  }
  if (looksLikeApiKey(token)) return explainApiKey(token, settings, connection)
  if (!token.includes('.')) return [await askServer(token, settings, connection)]
  const jws = readJws(token)
  if (typeof jws === 'string') return [refused('form', describeForm(jws))]
  const findings = [ok('form', `a JWS in compact form, ${token.length} characters`)]
  findings.push(await explainSignature(jws, connection))
  const claims = parseObjectBytes(jws.payload)
  if (!claims) return [...findings, refused('claims', 'no JSON object, or a member of it occurs twice')]
  const { issuer, audience, tokens, clockSkew: skew, platform } = settings
  const checked = { header: jws.header, claims, issuer, audience, tokens, skew, now: platform.now() / 1000 }
  findings.push(...claimsChecks.map((check) => explainClaims(check, checked)))
  const binding = bearer.confirm({ sub: '', clientId: '', scope: [], roles: [], expiresAt: 0, claims })
  findings.push(
    binding === undefined
      ? ok('binding', 'a bearer token')
      : refused('binding', 'bound to a key or certificate by cnf: not good as a bearer token (RFC 7800)'),
  )
  const { scope } = claims
  findings.push(ok('scope', typeof scope === 'string' && scope !== '' ? scope : 'none: no route that requires one'))
  if (findings.every(({ outcome }) => outcome === 'ok'))
    findings.push(await explainRevocation(token, claims, settings, connection))
  return findings
}

const ok = (name: string, detail: string): Finding => ({ name, outcome: 'ok', detail })
const refused = (name: string, detail: string): Finding => ({ name, outcome: 'refused', detail })
const unknown = (name: string, detail: string): Finding => ({ name, outcome: 'unknown', detail })

function describeForm(problem: Exclude<ReturnType<typeof readJws>, Jws>): string {
  switch (problem) {
    case 'token_malformed':
      return 'not three parts in canonical base64url without padding, or too long (RFC 7515 §3.1)'
    case 'header_malformed':
      return 'the header is no JSON object, or a member of it occurs twice (RFC 7515 §4)'
    case 'header_critical':
      return 'the header has crit or b64: an extension that is not understood (RFC 7515 §4.1.11)'
  }
}

async function explainSignature(jws: Jws, { jwks }: Connection): Promise<Finding> {
  const { kid, alg } = jws.header
  if (typeof kid !== 'string') return refused('signature', 'the header names no key (kid)')
  const key = await jwks.find(kid)
  if (!key) return refused('signature', `the server publishes no key ${JSON.stringify(kid.slice(0, 100))}`)
  if (alg !== key.alg) return refused('signature', `alg is ${JSON.stringify(alg)}, and the key is for ${key.alg}`)
  return (await verifyJws(jws, key))
    ? ok('signature', `${key.alg}, by the key ${JSON.stringify(kid)}`)
    : refused('signature', `not made by the key ${JSON.stringify(kid)}`)
}

function explainClaims(check: ClaimsCheck, checked: Parameters<ClaimsCheck['problem']>[0]): Finding {
  const detail = `${check.describe(checked)} (${check.section})`
  return check.problem(checked) === undefined ? ok(check.name, detail) : refused(check.name, detail)
}

/** Introspection is exact; a status list is what is public. */
async function explainRevocation(
  token: string,
  claims: Parameters<ClaimsCheck['problem']>[0]['claims'],
  settings: Settings,
  connection: Connection,
): Promise<Finding> {
  if (connection.introspection && settings.tokens === 'access') return askServer(token, settings, connection)
  switch (await connection.statusLists?.check(claims)) {
    case 'valid':
      return ok('revocation', 'the status list says that it is valid')
    case 'invalid':
      return refused('revocation', 'the status list says that it is not valid')
    case 'unavailable':
      return unknown('revocation', 'its status list cannot be fetched')
    default:
      return settings.tokens === 'gateway'
        ? ok('revocation', 'not asked: without a status list it is good for the minute that it lives')
        : unknown('revocation', 'not asked: it names no status list, and there are no credentials')
  }
}

/** Its prefix, environment and id are public; nothing else of it is quoted. */
async function explainApiKey(text: string, settings: Settings, { tools }: Connection): Promise<readonly Finding[]> {
  const parsed = parseApiKey(text)
  if (!parsed) return [refused('checksum', 'wrong: the key was mistyped, cut off or made up')]
  const { prefix, environment, id } = parsed
  const findings = [
    ok('form', `an API key with prefix ${prefix}, for ${environment}`),
    ok('checksum', `right; the id of the key is ${id}`),
  ]
  if (!settings.credentials) {
    return [...findings, unknown('introspection', 'only the server knows keys, and there are no credentials')]
  }
  const known = await createKnownKeys(tools, { kinds: ['secret', 'publishable'] }).find(text, id)
  if (known === 'introspection_unavailable')
    return [...findings, unknown('introspection', 'the server does not answer')]
  if (typeof known === 'string') {
    const detail = `the server says that it is unknown, ended, expired, or not for ${JSON.stringify(settings.audience)}`
    return [...findings, refused('introspection', detail)]
  }
  const { token, kind, networks, origins } = known
  findings.push(ok('introspection', `the server says that it is active; its owner is ${token.sub}`))
  findings.push(ok('scope', token.scope.join(' ') || 'none: no route that requires one'))
  findings.push(ok('exp', Number.isFinite(token.expiresAt) ? new Date(token.expiresAt * 1000).toISOString() : 'never'))
  if (networks.length > 0) findings.push(unknown('networks', `good from ${networks.join(', ')} alone`))
  if (kind === 'publishable') findings.push(unknown('origins', `good in pages of ${origins.join(', ')} alone`))
  const deprecation = deprecationOf(token)
  if (deprecation) findings.push(ok('rotation', `it has a successor; its end is ${deprecation['sunset'] ?? 'open'}`))
  return findings
}

async function askServer(token: string, settings: Settings, { introspection }: Connection): Promise<Finding> {
  if (!introspection)
    return unknown('introspection', 'an opaque token: only the server knows, and there are no credentials')
  try {
    const known = await introspection.ask(token, 0)
    return known
      ? ok(
          'introspection',
          `the server says that it is active, with scope ${JSON.stringify(known.token.scope.join(' '))}`,
        )
      : refused(
          'introspection',
          `the server says that it is not active, or not for ${JSON.stringify(settings.audience)}`,
        )
  } catch {
    return unknown('introspection', 'the server does not answer')
  }
}
