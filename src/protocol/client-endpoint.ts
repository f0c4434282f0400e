import type { FastifyInstance, FastifyRequest } from 'fastify'
import { authenticateClient, type Client } from '../clients/index.js'
import type { Context, Origin } from '../context.js'
import { type DirectForm, directAnswers, encodedBody, FieldedAnswer, originOf } from '../http/index.js'
import { countRequest } from '../limits/index.js'
import { InvalidRequestError, type Parameters, readParameters } from '../oauth/index.js'
import { within } from '../platform/deadline.js'
import { monotonicMilliseconds } from '../platform/monotonic.js'

export interface ClientRequest {
  /** Authenticated. */
  readonly client: Client
  readonly parameters: Parameters
  readonly origin: Origin
}

/** A request that names no client. */
export type ClientlessRequest = Omit<ClientRequest, 'client'>

/**
 * Milliseconds from the request to a 503 at the latest. A statement has the same bound, but a request sends several, and
 * each may have waited. Who waits for a slow hash before it is known has its own bounds, and the rest is left after it.
 */
const deadline = { whole: 5_000, rest: 1_000 }

/**
 * A POST endpoint for clients: reads the form, authenticates the client and counts the request for its tier, so that no
 * feature can forget to, and sends what the handler gives as JSON. RFC 6749 §3.2.
 *
 * @param alone answers what needs no client, if none is named; gives undefined for everything else
 */
export function clientEndpoint(
  app: FastifyInstance,
  ctx: Context,
  path: string,
  handle: (request: ClientRequest) => Promise<object | undefined>,
  alone?: (request: ClientlessRequest) => Promise<object> | undefined,
): void {
  const answer = async ({ authorization, encoded, origin }: DirectForm): Promise<object | undefined> => {
    const since = monotonicMilliseconds()
    const parameters = readParameters(encoded, { repeatable })
    if (alone && !namesClient(authorization, parameters)) {
      const answering = alone({ parameters, origin })
      if (answering) return await within(deadline.whole, answering)
    }
    const client = await authenticateClient(ctx, authorization, parameters, origin)
    // Most have none, and wait for nothing here.
    const limit = client.rateTier === undefined ? undefined : await countRequest(ctx, client, client.rateTier, origin)
    const left = Math.max(deadline.whole - (monotonicMilliseconds() - since), deadline.rest)
    // Awaited: to hand a promise on costs two turns more.
    const body = await within(left, handle({ client, parameters, origin }))
    return limit && !(body instanceof FieldedAnswer) ? new FieldedAnswer(body, limit) : body
  }
  directAnswers(app).form(app, path, answer)
  app.post(path, async (request, reply) => {
    refuseSecretsInQuery(request)
    const { authorization } = request.headers
    let answered = await answer({ authorization, encoded: encodedBody(request), origin: originOf(request) })
    if (answered instanceof FieldedAnswer) {
      reply.headers(answered.fields)
      answered = answered.body
    }
    // RFC 7009 §2.2: nothing. A Content-Type without content is refused by some clients.
    if (answered === undefined) return reply.code(200).header('content-length', '0').send()
    return answered
  })
}

const repeatable = ['resource']

/** Also by half: whatever is sent of one is checked. */
function namesClient(authorization: string | undefined, { client_id, client_secret, client_assertion }: Parameters) {
  return [authorization, client_id, client_secret, client_assertion].some((each) => each !== undefined)
}

const secretNames =
  /(?:^|&)(?:client_secret|client_assertion|code|code_verifier|(?:refresh_|subject_|actor_)?token|password)=/

/**
 * What stands in an address stands in logs and histories. RFC 6749 §2.3.1 (attack 73). A name may be written by its bytes,
 * and a whole query encoded by mistake: both are read, whatever else in it is malformed.
 */
function refuseSecretsInQuery(request: FastifyRequest): void {
  const at = request.url.indexOf('?')
  if (at < 0) return
  const query = request.url.slice(at + 1)
  const decoded = query.replace(/%([2-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  if (!secretNames.test(query) && !secretNames.test(decoded)) return
  throw new InvalidRequestError('Credentials and tokens belong into the body, never into the address.', {
    reason: 'secret_in_query',
  })
}
