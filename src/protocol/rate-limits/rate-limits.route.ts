import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { encodedBody } from '../../http/index.js'
import {
  compileParameters,
  InvalidRequestError,
  readParameters,
  TemporarilyUnavailableError,
} from '../../oauth/index.js'
import { authorizeResourceServer } from '../revocation/index.js'

const parse = compileParameters(
  Type.Object({ lease: Type.Optional(Type.Array(Type.String())), instance: Type.Optional(Type.String()) }),
)

/** Leases of one request. */
const most = 100

interface Ask {
  readonly tier: string
  /** A keyed hash that the API has made: whom it is about, this server never learns. */
  readonly key: string
  readonly units: number
}

/**
 * `POST /rate-limits`, a form: an API leases requests for keys of its own (`lease=TIER KEY UNITS`, as often as it needs), by
 * the token that it reads the feed with. What it counts is nobody else's. `instance` says that this instance of it leases.
 */
export function rateLimitsRoute(app: FastifyInstance, ctx: Context): void {
  app.post('/rate-limits', async (request) => {
    const { audience } = await authorizeResourceServer(ctx, request)
    const { lease = [], instance } = parse(readParameters(encodedBody(request), { repeatable: ['lease'] }))
    if (lease.length > most) throw malformed(`There are more than ${most} leases.`)
    const asks = lease.map(readAsk)
    if (instance !== undefined && !uuid.test(instance)) throw malformed('The parameter instance is no UUID.')
    try {
      const [processes, ...leases] = await Promise.all([
        instance === undefined ? undefined : ctx.rateLimits.announce(audience, instance),
        ...asks.map(({ tier, key, units }) => ctx.rateLimits.lease(`api\0${audience}\0${tier}\0${key}`, tier, units)),
      ])
      return {
        ...(processes === undefined ? {} : { instances: processes }),
        leases: leases.map((leased) => {
          if (!leased) return null
          const { granted, debt, policy } = leased
          return { granted, debt, limit: policy.limit, window: policy.window, burst: policy.burst }
        }),
      }
    } catch (error) {
      throw new TemporarilyUnavailableError('Rate limits cannot be shared now.', {
        ...{ reason: 'rate_limits_away', cause: error, retryAfter: 1 },
      })
    }
  })
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** @throws {InvalidRequestError} */
function readAsk(text: string): Ask {
  const [, tier = '', key = '', units = ''] = /^([a-z0-9._-]{1,64}) ([A-Za-z0-9_-]{43}) (\d{1,7})$/.exec(text) ?? []
  if (!(Number(units) > 0)) throw malformed('A lease is not TIER KEY UNITS, of which KEY is 32 bytes in base64url.')
  return { tier, key, units: Number(units) }
}

function malformed(message: string): InvalidRequestError {
  return new InvalidRequestError(message, { reason: 'lease_malformed' })
}
