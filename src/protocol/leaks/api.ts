import type { Context } from '../../context.js'
import type { DocumentedApi, DocumentedOperation } from '../../http/index.js'
import { leaksScope, wellKnownScopes } from '../../oauth/index.js'
import { reportsSchema, verdictsSchema } from './schemas.js'

/** What stands of `POST /leaks` in the OpenAPI document. Its route reads bodies as they come, so it is none of `operationRoutes`. */
export function leaksApi({ config }: Pick<Context, 'config'>): DocumentedApi {
  const bySignature = config.apiKeys.leakReporterKeys !== undefined
  return {
    tag: 'Leaks',
    scope: leaksScope,
    scopeSentence: wellKnownScopes.get(leaksScope) ?? '',
    clientsAlone: true,
    operations: [{ ...reportLeaks, ...(bySignature ? { proof: githubSignature } : {}) }],
  }
}

const reportLeaks: DocumentedOperation = {
  id: 'reportLeaks',
  method: 'POST',
  path: '/leaks',
  summary: 'Report API keys that were found in public',
  description:
    'In the format of GitHub’s secret scanning partners. A key of this server ends at once, or its owner is warned, as the ' +
    'operator has it. A report that comes again changes nothing.',
  body: reportsSchema,
  success: {
    status: 200,
    description: 'Of each report, in their order, whether it is a key of this server.',
    schema: verdictsSchema,
  },
  failures: {
    401: 'The access token is missing, or not good; or the signature is not.',
    408: 'A signed report took too long to arrive.',
    413: 'More than 500 reports, or more than 1 MiB; of signed ones more than 256 KiB.',
    429: 'Too many requests, or too many that were refused.',
    503: 'The server cannot do this at the moment.',
  },
}

const githubSignature = {
  'Github-Public-Key-Identifier': 'The name of the key that the report is signed by.',
  'Github-Public-Key-Signature': 'ECDSA on P-256 with SHA-256 over the bytes of the body, as DER in base64.',
}
