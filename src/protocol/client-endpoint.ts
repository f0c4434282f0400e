import type { FastifyInstance, FastifyRequest } from 'fastify'
import { authenticateClient, type Client } from '../clients/index.js'
import type { Context, Origin } from '../context.js'
import { type DirectForm, directAnswers, encodedBody, FieldedAnswer, originOf } from '../http/index.js'
import { countOrigin, countRequest, joinFields } from '../limits/index.js'
import { InvalidRequestError, OAuthError, type Parameters, readParameters } from '../oauth/index.js'
import { Deadline } from '../platform/deadline.js'
import { decodeOnce } from '../platform/percent.js'

export interface ClientRequest {
  /** Authenticated. */
  readonly client: Client
  readonly parameters: Parameters
  readonly origin: Origin
}

/** A request that names no client. */
export type ClientlessRequest = Omit<ClientRequest, 'client'>

/**
 * Milliseconds from the request to a 503 at the latest, whatever it waits for: statements, of which each has the same bound, the
 * keys of a client, or others. A slow hash has bounds of its own, and the rest is left after it.
 */
const bound = { whole: 5_000, rest: 1_000 }

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
  async function attend(form: DirectForm, deadline: Deadline): Promise<object | undefined> {
    const { authorization, encoded, origin } = form
    const counting = countOrigin(ctx, origin)
    const ofOrigin = counting && (await counting)
    const parameters = readParameters(encoded, { repeatable, long })
    if (alone && !namesClient(authorization, parameters)) {
      const answering = alone({ parameters, origin })
      if (answering) return withLimits(await answering, ofOrigin, undefined)
    }
    const client = await authenticateClient(ctx, authorization, parameters, origin, { deadline })
    // Most have none, and wait for nothing here.
    const limit = client.rateTier === undefined ? undefined : await countRequest(ctx, client, client.rateTier, origin)
    try {
      // Awaited: to hand a promise on costs two turns more.
      const body = await handle({ client, parameters, origin })
      return withLimits(body, ofOrigin, limit)
    } catch (error) {
      if (error instanceof OAuthError && error.status < 429) ctx.audit.refused(error, { ...client, ip: origin.ip })
      throw error
    }
  }
  const answer = (form: DirectForm): Promise<object | undefined> => {
    const deadline = new Deadline(bound.whole, bound.rest)
    return deadline.of(attend(form, deadline))
  }
  directAnswers(app).form(app, path, answer)
  app.post(path, async (request, reply) => {
    if (hasSecretInQuery(request)) {
      throw new InvalidRequestError('Credentials and tokens belong into the body, never into the address.', {
        reason: 'secret_in_query',
      })
    }
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

type Limit = Readonly<Record<string, string>> | undefined

/** What the answer says of each limit that the request was counted for. */
function withLimits(body: object | undefined, ofOrigin: Limit, ofClient: Limit): object | undefined {
  if (!ofOrigin && !ofClient) return body
  const [inner, own] = body instanceof FieldedAnswer ? [body.body, body.fields] : [body, undefined]
  return new FieldedAnswer(inner, joinFields([ofOrigin, ofClient, own]) ?? {})
}

const repeatable = ['resource']
const long = ['client_assertion']

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
function hasSecretInQuery({ url }: FastifyRequest): boolean {
  const at = url.indexOf('?')
  if (at < 0) return false
  const query = url.slice(at + 1)
  const decoded = decodeOnce(query)
  return secretNames.test(query) || secretNames.test(decoded)
}
