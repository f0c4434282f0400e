import { type KeyObject, verify } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { newEvent } from '../../audit/index.js'
import type { Context, Origin } from '../../context.js'
import { originOf } from '../../http/index.js'
import { countRequest } from '../../limits/index.js'
import { InsufficientScopeError, InvalidTokenError, leaksScope } from '../../oauth/index.js'
import { isIdentifier } from '../../platform/crypto/reporter-keys.js'
import { authorizeBearer, hasEnded } from '../bearer.js'
import { createReporterKeys } from './reporter-keys.js'

/** Who says that a key leaked, as far as their header proves it. */
export interface Reporter {
  /** They named a key: nothing is proved before the body. */
  readonly isSigner: boolean
  /** The same for the audit, when it is proved by the body too: `client:…`, or the key that the report is signed by. */
  readonly prove: (body: Buffer) => Promise<{ readonly name: string }>
}

/**
 * Either way, asked before a byte of the body is read: by an access token of a client with the scope `leaks`, or by GitHub's
 * header fields and a key of LEAK_REPORTER_KEYS, which the signature over the body then proves. A report that is sent again by
 * somebody who overheard it is good once more, and changes nothing.
 */
export function reporterAuthorization(ctx: Context): (request: FastifyRequest) => Promise<Reporter> {
  const keys = createReporterKeys(ctx)
  return async (request) => {
    const identifier = request.headers['github-public-key-identifier']
    const signature = request.headers['github-public-key-signature']
    if (request.headers.authorization !== undefined || !keys || identifier === undefined) {
      const name = await authorizeClient(ctx, request)
      return { isSigner: false, prove: async () => ({ name }) }
    }
    const origin = originOf(request)
    const key = isOne(identifier) && isIdentifier(identifier) ? await keys.find(identifier) : undefined
    if (!key) throw await refuse(ctx, origin, 'signature_key_unknown')
    return {
      isSigner: true,
      async prove(body) {
        if (isSigned(body, signature, key)) return { name: `reporter:${identifier}` }
        throw await refuse(ctx, origin, 'signature_wrong')
      },
    }
  }
}

/** Exact, as for whatever changes something. @throws what `authorizeBearer` and `countRequest` throw */
async function authorizeClient(ctx: Context, request: FastifyRequest): Promise<string> {
  const token = await authorizeBearer(ctx, request, leaksScope)
  await ctx.revocations.refresh()
  const { client_id: clientId, sub, grant_id: grantId } = token.claims
  const client = await ctx.clients.find(clientId)
  if (hasEnded(ctx, token) || !client || client.disabledAt) {
    throw new InvalidTokenError('The access token is unknown, expired, revoked or meant for somebody else.', {
      reason: 'token_ended',
    })
  }
  if (grantId === undefined && sub === clientId) {
    if (client.rateTier !== undefined) await countRequest(ctx, client, client.rateTier, originOf(request))
    return `client:${clientId}`
  }
  throw new InsufficientScopeError('The access token is not of the client itself.', {
    reason: 'token_of_another',
    scope: leaksScope,
  })
}

/** ECDSA on P-256 with SHA-256, as DER in base64. */
function isSigned(body: Buffer, signature: string | readonly string[] | undefined, key: KeyObject): boolean {
  if (!isOne(signature) || !/^[A-Za-z0-9+/]{80,100}={0,2}$/.test(signature)) return false
  return verify('sha256', body, { key, dsaEncoding: 'der' }, Buffer.from(signature, 'base64'))
}

function isOne(field: string | readonly string[] | undefined): field is string {
  return typeof field === 'string'
}

/**
 * Counted as failed authentications are. Nobody guesses a signature, so past a bound a wrong one is refused before anything is
 * written, and a reporter who signs is let in whatever others of their network fail at.
 *
 * @throws {TooManyRequestsError}
 */
async function refuse(ctx: Context, origin: Origin, reason: string): Promise<InvalidTokenError> {
  const subject = { kind: 'client', id: 'leak reporter', ip: origin.ip ?? '' } as const
  ctx.failures.check(subject)
  const event = { type: 'leak.refused', actor: 'system', reason, ...origin }
  await ctx.failures.fail(subject, ctx.audit.writesByItself(subject.ip, event) ? newEvent(ctx, event) : undefined)
  const error = new InvalidTokenError('The report is not signed by a key that this server knows.', { reason })
  ctx.audit.told(error)
  return error
}
