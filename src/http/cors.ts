import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Register, registerWithAllMethods } from './methods.js'

export interface CorsOptions {
  /** Whether a registered client named this origin; compared exactly. */
  readonly isAllowedOrigin: (origin: string) => boolean | Promise<boolean>
  /** Methods and header fields that a preflight is told. */
  readonly methods: readonly string[]
  readonly headers: readonly string[]
}

/** Seconds a browser need not ask again. Short: an origin that was withdrawn is out within it. */
const PREFLIGHT_AGE = 600

/** What a program in a browser may read besides the body. */
const EXPOSED = 'WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id'

/**
 * Routes that the pages of registered origins may call (attack 121). Never for /authorize and what follows it: those are
 * for browsers that go there, not for programs in them (RFC 9700 §2.6).
 */
export function corsScope(scope: FastifyInstance, options: CorsOptions, register: Register): void {
  scope.register(async (inner) => {
    inner.decorate(VARIES, true)
    inner.addHook('onRequest', cors(options))
    await registerWithAllMethods(inner, register)
  })
}

const VARIES = 'variesByOrigin'

/** Whether what the scope's routes answer depends on who asks: a cache must not give it to another origin. */
export function variesByOrigin(scope: FastifyInstance): boolean {
  return scope.hasDecorator(VARIES)
}

/**
 * The hook: answers preflights, and tells an allowed origin that it may read the response. Cookies and HTTP credentials of
 * the browser are never allowed. `null`, which any sandboxed page can send, is no origin.
 */
export function cors({ isAllowedOrigin, methods, headers }: CorsOptions) {
  const allowMethods = methods.join(', ')
  const allowHeaders = headers.join(', ')

  /** @returns whether the answer was sent */
  async function answerOrigin(origin: string, request: FastifyRequest, reply: FastifyReply): Promise<boolean> {
    const allowed = isOrigin(origin) && (await isAllowedOrigin(origin))
    if (allowed) {
      reply.header('Access-Control-Allow-Origin', origin).header('Access-Control-Expose-Headers', EXPOSED)
    }
    if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) return false

    if (allowed) {
      reply.headers({
        'Access-Control-Allow-Methods': allowMethods,
        'Access-Control-Allow-Headers': allowHeaders,
        'Access-Control-Max-Age': PREFLIGHT_AGE,
      })
    }
    reply.code(204).send()
    return true
  }

  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    // Whatever the answer is, a cache must not give it to another origin.
    reply.header('Vary', 'Origin')
    const { origin } = request.headers
    // Most callers are no browsers: they wait for nothing here.
    if (origin === undefined) {
      done()
      return
    }
    answerOrigin(origin, request, reply).then((sent) => {
      if (!sent) done()
    }, done)
  }
}

/** As a browser writes it: scheme, host and port, nothing after. Bounded, since it is looked up. */
function isOrigin(text: string): boolean {
  return text.length <= 300 && /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@\\]+$/.test(text)
}
