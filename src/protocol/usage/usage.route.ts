import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { encodedBody, originOf } from '../../http/index.js'
import { compileParameters, InvalidRequestError, readParameters } from '../../oauth/index.js'
import { authorizeResourceServer } from '../revocation/index.js'
import { countExposed, countReport } from './count-report.js'
import { readUse } from './reported-use.js'

const parse = compileParameters(
  Type.Object({
    use: Type.Optional(Type.Array(Type.String())),
    exposed: Type.Optional(Type.Array(Type.String())),
    uncounted: Type.Optional(Type.String()),
  }),
)

/** Lines of one report. */
const most = { uses: 200, exposed: 20 }

/**
 * `POST /usage`, a form: what an API was shown since its last report, by the token that it reads the feed with. A line is
 * `use=KIND CREDENTIAL OUTCOME COUNT AGO SUPERSEDED NETWORK SCOPE …`, `exposed=KEY` a key that stood in an address, whole,
 * `uncounted=N` uses that it had no room to tell apart. What is malformed is left out, or one line would keep back all others,
 * and so is what concerns no key or client of this API. 202: counts are written behind; what is exposed is written before them,
 * since a report that failed is sent again.
 */
export function usageRoute(app: FastifyInstance, ctx: Context): void {
  app.post('/usage', async (request, reply) => {
    const { audience, clientId } = await authorizeResourceServer(ctx, request)
    const report = parse(readParameters(encodedBody(request), { repeatable: ['use', 'exposed'] }))
    const { use = [], exposed = [], uncounted = '0' } = report
    if (use.length > most.uses || exposed.length > most.exposed) {
      throw malformed(`A report has ${most.uses} uses and ${most.exposed} exposed keys at most.`)
    }
    if (!/^\d{1,9}$/.test(uncounted)) throw malformed('The parameter uncounted is no number.')
    const by = { actor: `client:${clientId}`, origin: originOf(request) }
    await countExposed(ctx, audience, exposed, by)
    const uses = use.flatMap((line) => readUse(line) ?? [])
    const counted = await countReport(ctx, audience, { uses, uncounted: Number(uncounted) })
    return reply.code(202).send({ counted })
  })
}

function malformed(message: string): InvalidRequestError {
  return new InvalidRequestError(message, { reason: 'report_malformed' })
}
