import { UnavailableError } from '../errors.js'
import { fetchText } from '../http.js'
import { basicOf } from '../service-token.js'
import type { Tools } from './tools.js'

/** The server's exchange of passwords for tokens of this API (RFC 8693 §2), which may be switched off there. */
export interface PasswordExchange {
  /** @returns the answer @throws {UnavailableError} */
  readonly ask: (subject: Readonly<Record<string, string>>) => Promise<string>
  /** The server said a moment ago that it takes no passwords for this API: none is sent. */
  readonly isOff: () => boolean
  /** For the engineer, what to do where it is off. It asks again by and by. */
  readonly problem: () => string | undefined
  /** Asks without a password whether it is off. */
  readonly look: () => Promise<void>
}

/** Milliseconds that the server's word for it stands. */
const offFor = 5_000

/** @param onOff called when the server says that it is off */
export function createPasswordExchange(tools: Tools, onOff: () => void): PasswordExchange {
  const { platform, server, credentials: own, audience, warn } = tools
  let off: { readonly problem: string; readonly until: number } | undefined
  let looking = false

  function switchOff(description: string): void {
    const problem =
      `Passwords are refused: the server says "${description}" To switch them on for this API: ` +
      `ostiary resource update ${audience} --accepts-basic`
    if (!off) warn(problem)
    off = { problem, until: platform.monotonic() + offFor }
    onOff()
  }

  async function ask(subject: Readonly<Record<string, string>>): Promise<string> {
    if (server.tokenEndpoint === undefined || !own) throw new UnavailableError('There is nobody to ask about passwords')
    try {
      const { text } = await fetchText(platform, server.tokenEndpoint, {
        accept: 'application/json',
        headers: { authorization: basicOf(own) },
        form: {
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token_type: 'urn:ostiary:params:oauth:token-type:basic-credentials',
          ...subject,
        },
        limit: 65_536,
      })
      off = undefined
      return text
    } catch (error) {
      const { error: said, status } = error instanceof UnavailableError ? error : {}
      if (said?.code === 'unauthorized_client') switchOff(said.description)
      // Whatever else is wrong, it looked at what it was sent.
      else if (status === 400) off = undefined
      throw error
    }
  }

  async function look(): Promise<void> {
    if (looking) return
    looking = true
    try {
      // It says whether it is off before it misses the password.
      await ask({})
    } catch {
      // What it said is known; where it said nothing, the next password asks.
    } finally {
      looking = false
    }
  }

  const isOff = (): boolean => off !== undefined && platform.monotonic() < off.until

  return {
    ask,
    isOff,
    problem() {
      if (off && !isOff()) void look()
      return off?.problem
    },
    look,
  }
}
