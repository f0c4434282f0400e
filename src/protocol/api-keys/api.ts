import type { Context } from '../../context.js'
import type { DocumentedApi } from '../../http/index.js'
import { apiKeysScope, wellKnownScopes } from '../../oauth/index.js'
import { apiKeyOperations } from './operations.js'

/** What stands of it in the OpenAPI document. */
export function apiKeysApi(ctx: Context): DocumentedApi {
  return {
    tag: 'API keys',
    scope: apiKeysScope,
    scopeSentence: wellKnownScopes.get(apiKeysScope) ?? '',
    operations: apiKeyOperations(ctx),
  }
}
