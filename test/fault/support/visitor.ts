import type { People } from './people.js'
import type { Answer, Requester } from './requester.js'
import { authorizePath, page } from './requests.js'

/** A person's browser: signs in once by password, and from then on gets a code for the asking. */
export interface Visitor {
  /** Never one twice. @throws when the server does not answer for long */
  readonly code: () => Promise<string>
}

export function openVisitor(people: People, requester: Requester): Visitor {
  const cookies = new Map<string, string>()

  const visit = async (
    method: 'GET' | 'POST',
    path: string,
    status: 200 | 303,
    form?: Readonly<Record<string, string>>,
  ): Promise<Answer | undefined> => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await requester.ask(page(method, path, status, cookie, form))
    for (const line of answer?.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=;]+)=([^;]*)/.exec(line) ?? []
      if (name !== undefined && value !== undefined) cookies.set(name, value)
    }
    return answer
  }

  /** @returns undefined where one of the steps was not answered: whoever signs in begins again */
  async function attempt(): Promise<string | undefined> {
    const first = await visit('GET', authorizePath(people), 303)
    if (!first) return undefined
    const code = codeOf(first)
    if (code !== undefined) return code
    const login = pathOf(first)
    const form = await visit('GET', login, 200)
    const [, csrfToken] = /name="csrf_token" value="([^"]+)"/.exec(form?.body ?? '') ?? []
    if (csrfToken === undefined) return undefined
    const { email, password } = people.user
    const done = await visit('POST', login, 303, { csrf_token: csrfToken, username: email, password })
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

function codeOf({ headers }: Answer): string | undefined {
  return new URL(headers.location ?? '', 'http://localhost').searchParams.get('code') ?? undefined
}

function pathOf({ headers }: Answer): string {
  const { pathname, search } = new URL(headers.location ?? '', 'http://localhost')
  return pathname + search
}
