import type { Reference, References } from './scene.js'
import { marker } from './scene.js'

/** A text of a request: as it is, or one that the scene has, perhaps damaged. */
export type Text = string | Stolen

export interface Stolen {
  readonly of: Reference
  /** Bits to flip, counted from the beginning; beyond the end they count from the beginning again. */
  readonly flipped?: readonly number[]
  /** How much of it is there. */
  readonly cut?: number
}

/** How a name and a value are written. `bad` leaves percent signs that begin nothing. */
export type Encoding = 'form' | 'every byte' | 'twice' | 'overlong' | 'bad' | 'none' | 'utf-16'

export interface Parameter {
  readonly name: Text
  readonly value: Text
  readonly encoding: Encoding
}

/** What is changed about a request that is right. Positions beyond the end count from the beginning again. */
export type Mutation =
  | { readonly kind: 'drop' | 'repeat' | 'to the query' | 'nest'; readonly at: number }
  | { readonly kind: 'value'; readonly at: number; readonly value: Text }
  | { readonly kind: 'name'; readonly at: number; readonly value: Text }
  | { readonly kind: 'encode'; readonly at: number; readonly encoding: Encoding }
  | { readonly kind: 'add'; readonly parameter: Parameter }
  | { readonly kind: 'many'; readonly count: number; readonly name: string }
  | { readonly kind: 'basic'; readonly id: Text; readonly secret: Text; readonly encoding: Encoding }
  | { readonly kind: 'header'; readonly name: string; readonly value: Text }
  | { readonly kind: 'cookie'; readonly name: string; readonly value: Text; readonly instead: boolean }
  | { readonly kind: 'method'; readonly method: string }
  | { readonly kind: 'path'; readonly path: Text }
  | { readonly kind: 'cut'; readonly length: number }
  | { readonly kind: 'body'; readonly bytes: readonly number[] }
  | { readonly kind: 'from'; readonly address: string }

/** One request, as data: it is printed, made smaller and built again. */
export interface Plan {
  readonly recipe: keyof typeof recipes
  readonly mutations: readonly Mutation[]
  /** At the server with the normal bounds on guessing. */
  readonly strict: boolean
}

/** A request as bytes. */
export interface Wire {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly from: string
  /** It sends a secret where the specifications have the server repeat what was sent. */
  readonly mayRepeat: boolean
}

interface Recipe {
  readonly method: string
  /** `:` and the name of a reference stand for it. */
  readonly path: string
  readonly basic?: readonly [Reference, Reference]
  readonly cookies?: Readonly<Record<string, Reference>>
  readonly parameters: Readonly<Record<string, Text>>
  readonly html?: boolean
}

const challenge = { code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256' }
const callback = { redirect_uri: 'https://app.example/cb' }
const proof = { ...callback, code_verifier: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk' }
const asClient = ['clientId', 'clientSecret'] as const
const asApi = ['apiClientId', 'apiClientSecret'] as const
const asking = {
  response_type: 'code',
  client_id: { of: 'clientId' },
  ...callback,
  ...challenge,
  scope: 'read',
} as const
const post = { method: 'POST', path: '/token' }

/** Requests that are right in every part. */
export const recipes = {
  clientCredentials: { ...post, basic: ['weakClientId', 'weakClientSecret'], parameters: grant('client_credentials') },
  wrongGrant: { ...post, basic: asClient, parameters: grant('client_credentials', { scope: 'read' }) },
  code: { ...post, basic: asClient, parameters: grant('authorization_code', { code: { of: 'code' }, ...proof }) },
  otherCode: {
    ...post,
    basic: asClient,
    parameters: grant('authorization_code', { code: { of: 'otherCode' }, ...proof }),
  },
  codeByPost: {
    ...post,
    parameters: grant('authorization_code', {
      code: { of: 'code' },
      client_id: { of: 'postClientId' },
      client_secret: { of: 'postClientSecret' },
      ...proof,
    }),
  },
  codePublic: {
    ...post,
    parameters: grant('authorization_code', { code: { of: 'code' }, client_id: { of: 'publicClientId' }, ...proof }),
  },
  refresh: { ...post, basic: asClient, parameters: grant('refresh_token', { refresh_token: { of: 'refreshToken' } }) },
  refreshOther: {
    ...post,
    basic: asClient,
    parameters: grant('refresh_token', { refresh_token: { of: 'otherRefreshToken' } }),
  },
  refreshStale: {
    ...post,
    basic: asClient,
    parameters: grant('refresh_token', { refresh_token: { of: 'staleRefreshToken' } }),
  },
  introspect: { method: 'POST', path: '/introspect', basic: asApi, parameters: { token: { of: 'accessToken' } } },
  introspectRefresh: {
    method: 'POST',
    path: '/introspect',
    basic: asClient,
    parameters: { token: { of: 'refreshToken' } },
  },
  revoke: {
    method: 'POST',
    path: '/revoke',
    basic: asClient,
    parameters: { token: { of: 'otherAccessToken' }, token_type_hint: 'access_token' },
  },
  revokeOther: { method: 'POST', path: '/revoke', basic: asClient, parameters: { token: { of: 'otherRefreshToken' } } },
  authorize: { method: 'GET', path: '/authorize', parameters: { ...asking, state: 'the state' }, html: true },
  authorizeByPost: { method: 'POST', path: '/authorize', parameters: { ...asking, prompt: 'login' }, html: true },
  authorizeSignedIn: {
    method: 'GET',
    path: '/authorize',
    cookies: { ostiary_session: 'sessionCookie', ostiary_browser: 'consentBrowserCookie' },
    parameters: {
      ...asking,
      prompt: 'none',
      max_age: '3600',
      login_hint: 'ada@example.com',
      resource: 'https://api.example.com',
    },
    html: true,
  },
  loginPage: {
    method: 'GET',
    path: '/interaction/:interaction/login',
    cookies: { ostiary_browser: 'browserCookie' },
    parameters: {},
    html: true,
  },
  login: {
    method: 'POST',
    path: '/interaction/:interaction/login',
    cookies: { ostiary_browser: 'browserCookie' },
    parameters: { csrf_token: { of: 'loginToken' }, username: { of: 'email' }, password: { of: 'password' } },
    html: true,
  },
  consentPage: {
    method: 'GET',
    path: '/interaction/:consentInteraction/consent',
    cookies: { ostiary_browser: 'consentBrowserCookie', ostiary_session: 'sessionCookie' },
    parameters: {},
    html: true,
  },
  consent: {
    method: 'POST',
    path: '/interaction/:consentInteraction/consent',
    cookies: { ostiary_browser: 'consentBrowserCookie', ostiary_session: 'sessionCookie' },
    parameters: { csrf_token: { of: 'consentToken' }, action: 'elsewhere', scope: 'read' },
    html: true,
  },
  document: { method: 'GET', path: '/.well-known/oauth-authorization-server', parameters: {} },
  keys: { method: 'GET', path: '/jwks', parameters: {} },
  home: { method: 'GET', path: '/', parameters: {}, html: true },
} satisfies Readonly<Record<string, Recipe>>

function grant(grant_type: string, more: Readonly<Record<string, Text>> = {}): Readonly<Record<string, Text>> {
  return { grant_type, ...more }
}

/** Parameters that hold secrets: whatever is made up for them is marked. */
const secretNames = ['client_secret', 'password', 'code', 'token', 'refresh_token', 'code_verifier', 'csrf_token']

/** Parameters that the server may send back: in an answer to the client, in the form, in the link that starts again. */
const repeatedNames = new Set(
  ['client_id', 'redirect_uri', 'state', 'response_type', 'response_mode', 'scope', 'resource'].concat([
    'code_challenge',
    'code_challenge_method',
    'prompt',
    'max_age',
    'login_hint',
    'nonce',
    'username',
  ]),
)

/** The request that the plan describes, as this scene's server is to get it. */
export function build(plan: Plan, references: References, holdsSecret: (text: string) => boolean): Wire {
  const recipe: Recipe = recipes[plan.recipe]
  const resolve = (text: Text): string => (typeof text === 'string' ? text : damaged(references[text.of], text))
  let { method } = recipe
  let path = recipe.path.replace(/:(\w+)/, (_, name: Reference) => references[name])
  let basic = recipe.basic && basicText(references[recipe.basic[0]], references[recipe.basic[1]], 'form')
  let parameters: Parameter[] = Object.entries(recipe.parameters).map(([name, value]) => ({
    name,
    value,
    encoding: 'form',
  }))
  const query: Parameter[] = []
  let cookies = Object.entries(recipe.cookies ?? {}).map(([name, of]) => `${name}=${references[of]}`)
  let headers: Record<string, string> = { host: 'localhost:3000', ...(recipe.html ? { accept: 'text/html' } : {}) }
  let cut = Number.POSITIVE_INFINITY
  let bytes: Buffer | undefined
  let from = '192.0.2.10'

  const change = (at: number, over: (parameter: Parameter) => readonly Parameter[]): void => {
    if (parameters.length === 0) return
    const place = at % parameters.length
    parameters = parameters.flatMap((each, index) => (index === place ? over(each) : [each]))
  }
  for (const mutation of plan.mutations) {
    if (mutation.kind === 'drop') change(mutation.at, () => [])
    else if (mutation.kind === 'repeat') change(mutation.at, (each) => [each, each])
    else if (mutation.kind === 'nest') change(mutation.at, (each) => [{ ...each, name: `${resolve(each.name)}[a][]` }])
    else if (mutation.kind === 'to the query') {
      change(mutation.at, (each) => {
        query.push(each)
        return []
      })
    } else if (mutation.kind === 'value')
      change(mutation.at, (each) => [{ ...each, value: marked(each, mutation.value) }])
    else if (mutation.kind === 'name') change(mutation.at, (each) => [{ ...each, name: mutation.value }])
    else if (mutation.kind === 'encode') change(mutation.at, (each) => [{ ...each, encoding: mutation.encoding }])
    else if (mutation.kind === 'add') {
      parameters.push({ ...mutation.parameter, value: marked(mutation.parameter, mutation.parameter.value) })
    } else if (mutation.kind === 'many') {
      const { name, count } = mutation
      for (let n = 0; n < count; n++) parameters.push({ name: `${name}${n}`, value: '1', encoding: 'form' })
    } else if (mutation.kind === 'basic') {
      basic = basicText(resolve(mutation.id), `${marker}${resolve(mutation.secret)}`, mutation.encoding)
    } else if (mutation.kind === 'header')
      headers = { ...headers, [mutation.name]: headerText(resolve(mutation.value)) }
    else if (mutation.kind === 'cookie') {
      const pair = `${mutation.name}=${headerText(resolve(mutation.value))}`
      cookies = mutation.instead ? [pair] : [...cookies, pair]
    } else if (mutation.kind === 'method') method = mutation.method
    else if (mutation.kind === 'path') path = targetText(resolve(mutation.path))
    else if (mutation.kind === 'cut') cut = mutation.length
    else if (mutation.kind === 'body') bytes = Buffer.from(mutation.bytes)
    else if (mutation.kind === 'from') from = mutation.address
  }

  // A name that failed to log in is shown again, whoever asks for the page next: no secret is put there.
  parameters = parameters.map((each) =>
    resolve(each.name) === 'username' && holdsSecret(resolve(each.value)) ? { ...each, value: 'nobody' } : each,
  )

  const isBody = method !== 'GET' && method !== 'HEAD'
  const text = (all: readonly Parameter[]): string =>
    all
      .map(({ name, value, encoding }) => `${encode(resolve(name), encoding)}=${encode(resolve(value), encoding)}`)
      .join('&')
  const target = isBody ? query : [...query, ...parameters]
  const url = target.length > 0 ? `${path}?${text(target)}` : path
  const body = isBody ? (bytes ?? Buffer.from(text(parameters), 'latin1')) : Buffer.alloc(0)
  return {
    method,
    // Node refuses a longer head before the server sees it; the raw connections send such.
    url: url.slice(0, Math.min(cut + 2, 15_000)),
    headers: {
      ...(isBody ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
      ...(basic === undefined ? {} : { authorization: basic }),
      ...(cookies.length > 0 ? { cookie: cookies.join('; ') } : {}),
      ...headers,
    },
    body: body.subarray(0, cut),
    from,
    mayRepeat: [...parameters, ...query].some(
      ({ name, value }) =>
        (repeatedNames.has(resolve(name)) && holdsSecret(resolve(value))) ||
        // A retry by its own client: it gets the successor that the first request got.
        (path === '/token' &&
          basic === basicText(references.clientId, references.clientSecret, 'form') &&
          resolve(name) === 'refresh_token' &&
          resolve(value) === references.usedRefreshToken),
    ),
  }
}

function marked({ name }: Pick<Parameter, 'name'>, value: Text): Text {
  return typeof name === 'string' && secretNames.includes(name) && typeof value === 'string'
    ? `${marker}${value}`
    : value
}

function damaged(value: string, { flipped = [], cut = value.length }: Stolen): string {
  if (flipped.length === 0) return value.slice(0, cut)
  const bytes = Buffer.from(value, 'latin1')
  for (const bit of flipped) {
    const at = Math.floor(bit / 7) % Math.max(1, bytes.length)
    // The eighth bit is left: what is damaged stays ASCII, as a token is.
    if (bytes.length > 0) bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (bit % 7)), at)
  }
  return bytes.toString('latin1').slice(0, cut)
}

const ascii = /^[\0-\x7f]*$/

/** The bytes of UTF-8, one character each, and of a lone surrogate the three that a careless encoder makes of it. */
function utf8(text: string): string {
  if (ascii.test(text)) return text
  return text
    .split(/(\p{Cs}+)/u)
    .map((part, index) => (index % 2 === 1 ? threeBytes(part) : Buffer.from(part)).toString('latin1'))
    .join('')
}

function threeBytes(surrogates: string): Buffer {
  const bytes = Buffer.allocUnsafe(surrogates.length * 3)
  for (let at = 0; at < surrogates.length; at++) {
    const code = surrogates.charCodeAt(at)
    bytes[3 * at] = 0xe0 | (code >> 12)
    bytes[3 * at + 1] = 0x80 | ((code >> 6) & 0x3f)
    bytes[3 * at + 2] = 0x80 | (code & 0x3f)
  }
  return bytes
}

const escapes = Array.from({ length: 256 }, (_, byte) => `%${byte.toString(16).padStart(2, '0').toUpperCase()}`)
const percent = (byte: number): string => escapes[byte & 0xff] ?? ''

/** What each byte is written as, for texts of which some are long: they are encoded by table. */
const table = (written: (byte: number) => string): readonly Buffer[] =>
  Array.from({ length: 256 }, (_, byte) => Buffer.from(written(byte), 'latin1'))
const everyByte = table(percent)
const asForm = table((byte) => (/[\w.*-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : percent(byte)))
/** Two bytes for what needs one: refused since RFC 3629 §3. */
const overlong = table((byte) =>
  byte < 0x80 ? percent(0xc0 | (byte >> 6)) + percent(0x80 | (byte & 0x3f)) : percent(byte),
)

function write(bytes: Buffer, by: readonly Buffer[]): string {
  const written = Buffer.allocUnsafe(bytes.length * 6)
  let length = 0
  for (const byte of bytes) for (const each of by[byte] ?? []) written[length++] = each
  return written.toString('latin1', 0, length)
}

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

export function encode(text: string, encoding: Encoding): string {
  switch (encoding) {
    case 'none':
      return utf8(text)
    case 'every byte':
      return write(latin1(utf8(text)), everyByte)
    case 'twice':
      return encode(encode(text, 'form'), 'form')
    case 'overlong':
      return write(latin1(utf8(text)), overlong)
    case 'bad':
      return `${encode(text, 'form')}%${text.length % 2 ? 'G1' : ''}`
    case 'utf-16':
      return write(Buffer.from(text, 'utf16le'), everyByte)
    case 'form':
      // Most names and many values are as they are.
      return /^[\w.*-]*$/.test(text) ? text : write(latin1(utf8(text)), asForm)
  }
}

function basicText(id: string, secret: string, encoding: Encoding): string {
  const pair = encoding === 'bad' ? `${id}${secret}` : `${encode(id, encoding)}:${encode(secret, encoding)}`
  const text = Buffer.from(pair, 'latin1').toString(encoding === 'twice' ? 'base64url' : 'base64')
  return encoding === 'overlong' ? `bAsIc  ${text}=` : `Basic ${text}`
}

/** Node lets no line break into a header of a request that it makes itself; the raw connections send such. */
function headerText(text: string): string {
  return encode(text, 'none')
    .replace(/[\r\n\0]/g, ' ')
    .slice(0, 8_000)
}

function targetText(text: string): string {
  return `/${encode(text, 'none').replace(/[^\x21-\x7e]/g, (byte) => percent(byte.charCodeAt(0)))}`
}
