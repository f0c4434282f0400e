// Owns how a client asks at /token: one file per grant type; what is listed here is accepted, published and registrable.

import type { GrantType } from '../grant-type.js'
import { authorizationCode } from './authorization-code.js'
import { clientCredentials } from './client-credentials.js'
import { refreshToken } from './refresh-token.js'
import { tokenExchange } from './token-exchange.js'

export const grantTypes: readonly GrantType[] = [authorizationCode, refreshToken, clientCredentials, tokenExchange]
