import { InvalidRequestError } from './errors.js'

/** What is asked of one claim; null: nothing in particular. OIDC Core §5.5.1. */
export interface ClaimRequest {
  readonly essential?: boolean
  /** The only value, or those, that would do. */
  readonly value?: unknown
  readonly values?: readonly unknown[]
}

/** The parameter `claims`, reduced to what means something here. OIDC Core §5.5. */
export interface ClaimsRequest {
  readonly userinfo?: Readonly<Record<string, ClaimRequest | null>>
  readonly id_token?: Readonly<Record<string, ClaimRequest | null>>
}

/** Characters: it is stored with the request and the grant. */
const longest = 8_192

/**
 * Reads the parameter `claims`. Claims that are not known here are left out, as §5.5 asks for.
 *
 * @param known names that can be asked for
 * @returns undefined where nothing is left
 * @throws {InvalidRequestError} for what is not an object of objects
 */
export function parseClaimsRequest(text: string, known: readonly string[]): ClaimsRequest | undefined {
  const whole = text.length > longest ? undefined : parseObject(text)
  if (!whole) throw malformed()
  const [userinfo, id_token] = [readPart(whole['userinfo'], known), readPart(whole['id_token'], known)]
  if (!userinfo && !id_token) return undefined
  return { ...(userinfo ? { userinfo } : {}), ...(id_token ? { id_token } : {}) }
}

function readPart(part: unknown, known: readonly string[]): ClaimsRequest['userinfo'] {
  if (part === undefined || part === null) return undefined
  if (!isObject(part)) throw malformed()
  const entries = Object.entries(part).filter(([name]) => known.includes(name))
  if (entries.length === 0) return undefined
  return Object.fromEntries(entries.map(([name, wanted]) => [name, readClaim(wanted)]))
}

function readClaim(wanted: unknown): ClaimRequest | null {
  if (wanted === null) return null
  if (!isObject(wanted)) throw malformed()
  const { essential, value, values } = wanted
  if (essential !== undefined && typeof essential !== 'boolean') throw malformed()
  if (values !== undefined && !Array.isArray(values)) throw malformed()
  return {
    ...(essential === undefined ? {} : { essential }),
    ...(value === undefined ? {} : { value }),
    ...(values === undefined ? {} : { values }),
  }
}

/** Whether a value is one of those that would do. Where none is named, any is. */
export function satisfies(wanted: ClaimRequest | null | undefined, actual: unknown): boolean {
  if (wanted?.value !== undefined) return wanted.value === actual
  return wanted?.values === undefined || wanted.values.includes(actual)
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(): InvalidRequestError {
  return new InvalidRequestError('The parameter claims is not a JSON object as in OpenID Connect Core §5.5.', {
    reason: 'claims_malformed',
  })
}
