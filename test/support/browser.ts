import type { LightMyRequestResponse } from 'fastify'
import { encodeForm, type TestServer } from './server.js'

export interface Cookie {
  readonly name: string
  readonly value: string
  readonly secure: boolean
  readonly httpOnly: boolean
  readonly sameSite: string | undefined
  readonly path: string
}

export type Fields = Readonly<Record<string, string | readonly string[]>>

export interface SubmitOptions {
  /** The id or the value of the button that is pressed. */
  readonly button?: string
  /** The form is on a page of another site: cookies with SameSite stay at home. */
  readonly crossSite?: boolean
  readonly headers?: Readonly<Record<string, string>>
}

export interface TestBrowserOptions {
  readonly ip?: string
  /** Keeps no cookie. */
  readonly cookies?: boolean
}

/**
 * A browser without script: keeps cookies by their rules, follows redirects at our origin, fills in and submits the forms
 * of a page. It stops where a redirect leads to somebody else, such as a client.
 */
export class TestBrowser {
  readonly cookies = new Map<string, Cookie>()
  readonly #server: TestServer
  readonly #issuer: URL
  readonly #ip: string
  readonly #keeps: boolean

  constructor(server: TestServer, { ip = '192.0.2.10', cookies = true }: TestBrowserOptions = {}) {
    this.#server = server
    this.#issuer = new URL(server.ctx.config.server.issuer)
    this.#ip = ip
    this.#keeps = cookies
  }

  /** Opens an address of ours, by path or in full. */
  async open(address: string, headers: Readonly<Record<string, string>> = {}): Promise<TestPage> {
    return this.#follow(await this.request('GET', address, { headers }), address)
  }

  /** Submits a form of the page with what it holds and the fields given, and follows. */
  async submit(page: TestPage, fields: Fields = {}, options: SubmitOptions = {}): Promise<TestPage> {
    const { address, form } = page.form(options.button, fields)
    return this.post(address, form, options)
  }

  /** Posts a form of nobody's page, and follows. */
  async post(address: string, form: Fields, options: SubmitOptions = {}): Promise<TestPage> {
    return this.#follow(await this.request('POST', address, { ...options, form }), address)
  }

  /** One request with this browser's cookies; nothing is followed. */
  async request(
    method: 'GET' | 'POST',
    address: string,
    { form, crossSite = false, headers = {} }: SubmitOptions & { readonly form?: Fields } = {},
  ): Promise<LightMyRequestResponse> {
    const url = new URL(address, this.#issuer)
    const cookie = [...this.cookies.values()]
      // Lax: from another site only with a link.
      .filter(({ sameSite }) => !crossSite || (method === 'GET' && sameSite !== 'Strict') || sameSite === 'None')
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
    const reply = await this.#server.app.inject({
      method,
      url: url.pathname + url.search,
      remoteAddress: this.#ip,
      headers: {
        host: url.host,
        accept: 'text/html,application/xhtml+xml',
        ...(cookie ? { cookie } : {}),
        ...(form ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
        ...headers,
      },
      ...(form ? { payload: encodeForm(form) } : {}),
    })
    this.#keep(reply)
    return reply
  }

  async #follow(first: LightMyRequestResponse, from: string): Promise<TestPage> {
    let reply = first
    let url = new URL(from, this.#issuer)
    for (let hops = 0; hops < 10; hops++) {
      const { location } = reply.headers
      if (reply.statusCode < 300 || reply.statusCode > 399 || typeof location !== 'string') {
        return new TestPage(url, reply)
      }
      if (reply.statusCode !== 303) throw new Error(`redirected by ${reply.statusCode}`)
      const next = new URL(location, url)
      if (next.origin !== this.#issuer.origin) return new TestPage(url, reply, next)
      url = next
      reply = await this.request('GET', next.href)
    }
    throw new Error(`too many redirects, the last to ${url.pathname}`)
  }

  /** RFC 6265bis §5.7. */
  #keep(reply: LightMyRequestResponse): void {
    if (!this.#keeps) return
    for (const line of [reply.headers['set-cookie'] ?? []].flat()) {
      const [pair = '', ...rest] = line.split(';').map((part) => part.trim())
      const equals = pair.indexOf('=')
      const name = pair.slice(0, equals)
      const attributes = new Map(
        rest.map((part): [string, string] => {
          const [key = '', value = ''] = part.split('=', 2)
          return [key.toLowerCase(), value]
        }),
      )
      const secure = attributes.has('secure')
      const path = attributes.get('path') ?? '/'
      if (secure && this.#issuer.protocol !== 'https:') continue
      if (name.startsWith('__Host-') && (!secure || path !== '/' || attributes.has('domain'))) continue
      if (attributes.get('max-age') === '0') this.cookies.delete(name)
      else {
        const httpOnly = attributes.has('httponly')
        const sameSite = attributes.get('samesite')
        this.cookies.set(name, { name, value: pair.slice(equals + 1), secure, httpOnly, sameSite, path })
      }
    }
  }
}

/** What the browser shows, or the address of somebody else that it was sent to. */
export class TestPage {
  readonly url: URL
  readonly reply: LightMyRequestResponse
  /** Where it left for; the page is then empty. */
  readonly left: URL | undefined

  constructor(url: URL, reply: LightMyRequestResponse, left?: URL) {
    this.url = url
    this.reply = reply
    this.left = left
  }

  get status(): number {
    return this.reply.statusCode
  }

  get html(): string {
    return this.reply.body
  }

  /** What a reader sees. */
  get text(): string {
    const body = this.html.replace(/<(head|style)\b[^>]*>.*?<\/\1>/gs, ' ').replace(/<(?:"[^"]*"|[^">])*>/g, ' ')
    return unescapeHtml(body).replace(/\s+/g, ' ').trim()
  }

  /** The answer to the client, if it left with one. */
  get answer(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.left?.searchParams ?? [])
  }

  /** The answer that is told by the fragment alone. OAuth 2.0 Multiple Response Types §2.1 */
  get fragment(): Readonly<Record<string, string>> {
    return Object.fromEntries(new URLSearchParams(this.left?.hash.slice(1)))
  }

  /** Which step of an interaction this is. */
  get step(): string | undefined {
    return /\/interaction\/[^/]+\/([a-z]+)$/.exec(this.url.pathname)?.[1]
  }

  get links(): readonly { readonly href: string; readonly text: string }[] {
    return [...this.html.matchAll(/<a\b((?:"[^"]*"|[^">])*)>(.*?)<\/a>/gs)].map(([, attributes = '', text = '']) => ({
      href: attributesOf(attributes).get('href') ?? '',
      text: unescapeHtml(text.replace(/<[^>]*>/g, '')),
    }))
  }

  /** The inputs of the page, by name. */
  get inputs(): readonly Input[] {
    return this.#forms().flatMap(({ inputs }) => inputs)
  }

  /** What would be posted, and where to, when a button is pressed; without one, the last form is sent. */
  form(button: string | undefined, fields: Fields = {}): { readonly address: string; readonly form: Fields } {
    const forms = this.#forms()
    const isPressed = (candidate: Input): boolean =>
      candidate.tag === 'button' && (candidate.id === button || candidate.value === button)
    const found = button === undefined ? forms.at(-1) : forms.find(({ inputs }) => inputs.some(isPressed))
    if (!found) throw new Error(`no form with the button ${button} at ${this.url.pathname}: ${this.text.slice(0, 200)}`)

    const form: Record<string, string | readonly string[]> = {}
    const add = (name: string, value: string): void => {
      form[name] = form[name] === undefined ? value : [form[name], value].flat()
    }
    for (const input of found.inputs) {
      if (input.name === '' || input.name in fields) continue
      const isChoice = input.type === 'checkbox' || input.type === 'radio'
      if (input.tag === 'button' ? !isPressed(input) : isChoice && !input.checked) continue
      add(input.name, input.value)
    }
    return { address: new URL(found.action, this.url).href, form: { ...form, ...fields } }
  }

  #forms(): readonly { readonly action: string; readonly inputs: readonly Input[] }[] {
    return [...this.html.matchAll(/<form\b((?:"[^"]*"|[^">])*)>(.*?)<\/form>/gs)].map(
      ([, attributes = '', content = '']) => ({
        action: attributesOf(attributes).get('action') ?? '',
        inputs: [...content.matchAll(/<(input|button)\b((?:"[^"]*"|[^">])*)>/g)].map(([, tag = '', text = '']) => {
          const own = attributesOf(text)
          return {
            tag,
            id: own.get('id') ?? '',
            name: own.get('name') ?? '',
            type: own.get('type') ?? 'text',
            value: own.get('value') ?? '',
            checked: own.has('checked'),
          }
        }),
      }),
    )
  }
}

export interface Input {
  readonly tag: string
  readonly id: string
  readonly name: string
  readonly type: string
  readonly value: string
  readonly checked: boolean
}

function attributesOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    [...text.matchAll(/([a-z-]+)(?:="([^"]*)")?/gi)].map(([, name = '', value = '']) => [
      name.toLowerCase(),
      unescapeHtml(value),
    ]),
  )
}

function unescapeHtml(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
}
