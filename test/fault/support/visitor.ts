import type { Span } from './clocks.js'
import type { People } from './people.js'
import type { Answer, Requester } from './requester.js'
import { authorizePath, type Code, type Page, page } from './requests.js'

/** A person's browser: signs in once by password, and from then on gets a code for the asking. */
export interface Visitor {
  /** Never one twice. @throws when the server does not answer for long */
  readonly code: () => Promise<Code>
}

/** Milliseconds, by default. */
const codeLifetime = 60_000
const interactionLifetime = 3_600_000

export function openVisitor(people: People, requester: Requester): Visitor {
  const cookies = new Map<string, string>()

  const visit = async (wanted: Omit<Page, 'cookie'>): Promise<Answer | undefined> => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await requester.ask(page({ ...wanted, cookie }))
    for (const line of answer?.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=;]+)=([^;]*)/.exec(line) ?? []
      if (name !== undefined && value !== undefined) cookies.set(name, value)
    }
    return answer
  }

  /** @returns undefined where one of the steps was not answered, or is over: whoever signs in begins again */
  async function attempt(): Promise<Code | undefined> {
    const first = await visit({ method: 'GET', path: authorizePath(people), statuses: [303] })
    if (!first) return undefined
    const code = codeOf(first)
    if (code !== undefined) return code
    const path = pathOf(first)
    const ends = after(first.read, interactionLifetime)
    // A redirect, too: by the clock of this process the session may be good that was over by that of the other.
    const shown = await visit({ method: 'GET', path, statuses: [200, 303], ends })
    if (shown?.status === 303) return codeOf(shown)
    const [, csrfToken] = /name="csrf_token" value="([^"]+)"/.exec(shown?.body ?? '') ?? []
    if (csrfToken === undefined) return undefined
    const { email, password } = people.user
    const form = { csrf_token: csrfToken, username: email, password }
    const done = await visit({ method: 'POST', path, statuses: [303], form, ends })
    return done && codeOf(done)
  }

  return {
    async code() {
      const end = performance.now() + 90_000
      for (;;) {
        const code = await attempt()
        if (code !== undefined) return code
        if (performance.now() > end) throw new Error('nobody could sign in within 90 s')
        await new Promise((resolve) => setTimeout(resolve, requester.chance.between(20, 250)))
      }
    },
  }
}

function codeOf({ headers, read }: Answer): Code | undefined {
  const value = new URL(headers.location ?? '', 'http://localhost').searchParams.get('code')
  return value === null ? undefined : { value, ends: after(read, codeLifetime) }
}

function after({ from, to }: Span, milliseconds: number): Span {
  return { from: from + milliseconds, to: to + milliseconds }
}

function pathOf({ headers }: Answer): string {
  const { pathname, search } = new URL(headers.location ?? '', 'http://localhost')
  return pathname + search
}
