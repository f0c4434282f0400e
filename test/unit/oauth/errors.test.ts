import t from 'tap'
import * as errors from '../../../src/oauth/errors.js'

const { OAuthError: _, ...classes } = errors

const statuses: Record<string, readonly [code: string, status: number]> = {
  InvalidRequestError: ['invalid_request', 400],
  InvalidClientError: ['invalid_client', 401],
  InvalidGrantError: ['invalid_grant', 400],
  UnauthorizedClientError: ['unauthorized_client', 400],
  UnsupportedGrantTypeError: ['unsupported_grant_type', 400],
  InvalidScopeError: ['invalid_scope', 400],
  InvalidTargetError: ['invalid_target', 400],
  AccessDeniedError: ['access_denied', 400],
  UnsupportedResponseTypeError: ['unsupported_response_type', 400],
  ServerError: ['server_error', 500],
  TemporarilyUnavailableError: ['temporarily_unavailable', 503],
  TooManyRequestsError: ['temporarily_unavailable', 429],
  LoginRequiredError: ['login_required', 400],
  ConsentRequiredError: ['consent_required', 400],
  InteractionRequiredError: ['interaction_required', 400],
  InvalidRequestObjectError: ['invalid_request_object', 400],
  InvalidRequestUriError: ['invalid_request_uri', 400],
  RegistrationNotSupportedError: ['registration_not_supported', 400],
  UnmetAuthenticationRequirementsError: ['unmet_authentication_requirements', 400],
  UnsupportedTokenTypeError: ['unsupported_token_type', 400],
  InvalidTokenError: ['invalid_token', 401],
  MissingTokenError: ['invalid_token', 401],
  InsufficientScopeError: ['insufficient_scope', 403],
  InvalidRedirectUriError: ['invalid_redirect_uri', 400],
  InvalidClientMetadataError: ['invalid_client_metadata', 400],
  InvalidSoftwareStatementError: ['invalid_software_statement', 400],
}

t.test('each error has the code and the status of its specification', async (t) => {
  t.same(Object.keys(classes).sort(), Object.keys(statuses).sort())
  for (const [name, ErrorClass] of Object.entries(classes)) {
    const error = new ErrorClass('Wait.', { reason: 'because', retryAfter: 7, scope: 'read' })
    t.ok(error instanceof errors.OAuthError)
    t.equal(error.name, name)
    t.same([error.code, error.status], statuses[name])
    t.equal(error.retryAfter, 7)
  }
})

t.test('RFC 6749 §5.2: the body holds code and description, neither reason nor cause', async (t) => {
  const cause = new Error('the password was hunter2')
  const error = new errors.InvalidGrantError('The code is invalid.', { reason: 'code_unknown', cause })
  t.strictSame(JSON.parse(JSON.stringify(error)), { error: 'invalid_grant', error_description: 'The code is invalid.' })
  t.equal(error.reason, 'code_unknown')
  t.equal(error.cause, cause)
  t.notOk('cause' in new errors.InvalidGrantError('The code is invalid.', { reason: 'code_unknown' }))
})

t.test('RFC 6749 §5.2: the description holds no character that the section excludes', async (t) => {
  const all = Array.from({ length: 0x180 }, (_, code) => String.fromCharCode(code)).join('')
  const { error_description } = new errors.InvalidScopeError(all, { reason: 'x' }).toJSON()
  const allowed = [...all].filter((c) => /^[\x20\x21\x23-\x5b\x5d-\x7e]$/.test(c)).join('')
  t.equal(error_description, allowed)
  t.equal(allowed.length, 93)
})
