/** What a check wanted of a request that it refused, and where that stands. For the log and the audit, never for the client. */
export interface Expectation {
  /** Goes on from "expected". It says nothing of what came instead: that may be a secret. */
  readonly expected: string
  readonly section: string
}

type Entries = Readonly<Record<string, readonly [expected: string, section: string]>>

const requests: Entries = {
  parameter_missing: ['every parameter that the endpoint needs', 'RFC 6749 §4.1.2.1, §5.2'],
  parameter_repeated: ['each parameter once', 'RFC 6749 §3.1, §3.2'],
  parameter_malformed: ['application/x-www-form-urlencoded in UTF-8', 'RFC 6749 App. B'],
  parameter_invalid: ['a value of the kind that the parameter has', 'RFC 6749 App. A'],
  parameter_too_long: [
    'parameters of at most 8 KiB; 32 KiB for request, id_token_hint and assertions',
    'RFC 6749 §4.1.2.1, §5.2',
  ],
  parameters_too_many: ['no more parameters than any request needs', 'RFC 6749 §4.1.2.1, §5.2'],
  parameters_in_query_and_body: [
    'parameters in the query or in the body, not in both',
    'OIDC Core §3.1.2.1, RP-Initiated Logout §2',
  ],
  request_too_long: ['a request that fits', 'RFC 9110 §15.5.14, §15.5.15'],
  content_type: [
    'Content-Type: application/x-www-form-urlencoded, or JSON where the endpoint takes that',
    'RFC 6749 §4.1.3, RFC 7591 §3',
  ],
  content_encoding: ['a body without Content-Encoding', 'RFC 9110 §8.4'],
  json_malformed: ['a JSON object in UTF-8, each member once', 'RFC 8259 §4, §8.1'],
  header_repeated: ['header fields that may stand once to stand once', 'RFC 9110 §5.3'],
  secret_in_query: ['no secret in the address: it ends in logs', 'RFC 6749 §2.3.1, RFC 9700 §4.3.2'],
  method_not_allowed: ['one of the methods in Allow', 'RFC 9110 §15.5.6'],
  failures_exceeded: ['a pause as long as Retry-After, after too many failures', 'RFC 6749 §10.10, RFC 6585 §4'],
  interactions_exceeded: ['a pause as long as Retry-After: INTERACTIONS_PER_NETWORK is used up', 'RFC 6585 §4'],
  rate_exceeded: ['a pause as long as Retry-After: the tier is used up', 'RFC 6585 §4'],
  rate_of_address_exceeded: ['a pause as long as Retry-After: the tier of the address is used up', 'RFC 6585 §4'],
  rate_of_network_exceeded: ['a pause as long as Retry-After: the tier of the network is used up', 'RFC 6585 §4'],
  rate_of_user_exceeded: ['a pause as long as Retry-After: the tier of the user is used up', 'RFC 6585 §4'],
  api_key_quota: ['a pause as long as Retry-After: API_KEY_QUOTA is used up', 'RFC 6585 §4'],
}

const clientAuthentication: Entries = {
  client_authentication_missing: ['a client that proves itself, or a client_id', 'RFC 6749 §2.3, §3.2.1'],
  client_methods_mixed: ['one method of authentication in a request', 'RFC 6749 §2.3'],
  client_id_mismatch: ['one client_id throughout the request', 'RFC 6749 §2.3, RFC 7521 §4.2'],
  basic_malformed: ['client_id and secret by Basic, each form-encoded, in base64', 'RFC 6749 §2.3.1, RFC 7617 §2'],
  client_unknown: ['the client_id of a client that is registered here', 'RFC 6749 §2.2, §5.2'],
  client_secret_wrong: ['a secret of this client that has not ended', 'RFC 6749 §2.3.1'],
  client_secret_expired: ['the secret that this one was rotated to', 'RFC 6749 §2.3.1'],
  client_secret_chosen: ['a secret that this server made: `ostiary client rotate-secret`', 'RFC 7617 §4'],
  client_method_not_registered: ['the method in token_endpoint_auth_method of the client', 'RFC 7591 §2'],
  client_disabled: ['a client that an administrator has not disabled', 'RFC 6749 §5.2'],
  client_unused: ['a client that is not deleted, for having got no token in its time', 'RFC 6749 §5.2'],
  client_documents_off: ['CLIENT_ID_METADATA_DOCUMENTS=on, for a client_id that is an address', 'CIMD §5'],
  client_network: ['a request from allowed_networks of the client', 'RFC 6749 §5.2'],
  client_is_public: ['a client that can prove itself', 'RFC 7662 §2.1'],
  assertion_type_unknown: ['urn:ietf:params:oauth:client-assertion-type:jwt-bearer', 'RFC 7523 §2.2'],
  assertion_used_before: ['a jti that was not used before', 'RFC 7523 §3, OIDC Core §9'],
}

const authorization: Entries = {
  client_id_missing: ['client_id', 'RFC 6749 §4.1.1'],
  redirect_uri_missing: ['redirect_uri, where the client has registered more than one', 'RFC 6749 §3.1.2.3'],
  redirect_uri_unregistered: ['a redirect_uri that is registered, letter by letter', 'RFC 9700 §2.1, RFC 8252 §7.3'],
  response_mode_unknown: ['response_mode of query, fragment and form_post', 'OIDC Core §3.1.2.6'],
  response_type_unknown: ['response_type=code', 'RFC 6749 §3.1.1, OAuth 2.1 §4.1.1'],
  registration_not_supported: ['no parameter registration: clients register beforehand', 'OIDC Core §3.1.2.6, §7.2.1'],
  response_type_not_registered: [
    'IMPLICIT=on, and a client with the grant type implicit, this response type and the scope openid',
    'RFC 6749 §4.2.2.1, OIDC Registration §2',
  ],
  response_mode_query: [
    'response_mode of fragment or form_post, where tokens come back',
    'Multiple Response Types §3, §5',
  ],
  nonce_missing: ['nonce, where an ID token comes back without a code', 'OIDC Core §3.2.2.1'],
  openid_missing: ['the scope openid, where an ID token comes back', 'OIDC Core §3.2.2.1'],
  claims_without_token: ['claims of UserInfo only with an access token', 'OIDC Core §5.5'],
  code_challenge_missing: ['code_challenge, which this client needs', 'RFC 7636 §4.4.1, RFC 9700 §2.1.1'],
  code_challenge_malformed: ['code_challenge: 43 characters of base64url', 'RFC 7636 §4.2'],
  code_challenge_method_not_s256: ['code_challenge_method=S256', 'RFC 7636 §4.3, RFC 9700 §2.1.1'],
  prompt_unknown: ['prompt of none, login, consent and select_account', 'OIDC Core §3.1.2.1'],
  prompt_none_with_others: ['prompt=none alone', 'OIDC Core §3.1.2.1'],
  acr_unknown: ['an essential acr that there is here', 'OIDC Core §5.5.1.1'],
  claims_malformed: ['claims: a JSON object of userinfo and id_token', 'OIDC Core §5.5'],
  subjects_differ: ['one user in claims and id_token_hint', 'OIDC Core §3.1.2.2'],
  id_token_hint_invalid: ['an ID token of this server for this client', 'OIDC Core §3.1.2.2, RP-Initiated Logout §2'],
  login_signed_out: ['somebody who is signed in, for prompt=none', 'OIDC Core §3.1.2.6'],
  login_reauthenticate: ['a sign-in as recent as max_age and prompt ask for', 'OIDC Core §3.1.2.1'],
  login_select_account: ['a user who chooses, which prompt=none forbids', 'OIDC Core §3.1.2.1'],
  login_of_another_user: ['the user whom the request names', 'OIDC Core §3.1.2.2'],
  consent_required: ['consent from before, for prompt=none', 'OIDC Core §3.1.2.6'],
  user_denied: ['a user who allows it', 'RFC 6749 §4.1.2.1'],
  session_ended_meanwhile: ['the session in which the request began', 'RFC 6749 §3.1, §4.1.1'],
  interaction_unknown: ['a login that was begun here', 'RFC 6749 §4.1.1'],
  browser_cookie_missing: ['the browser in which the login began, with its cookies', 'RFC 6749 §10.12'],
  browser_cookie_of_another: ['the browser in which the login began', 'RFC 6749 §10.12'],
  interaction_expired: ['an answer before the login was over', 'RFC 6749 §4.1.1'],
  interaction_completed: ['a login that was not answered yet', 'RFC 6749 §4.1.1'],
  form_token_wrong: ['the form that we sent, in the browser that we sent it to', 'RFC 6749 §10.12'],
  request_and_request_uri: ['request or request_uri, not both', 'RFC 9101 §5'],
}

const tokens: Entries = {
  grant_type_missing: ['grant_type', 'RFC 6749 §4.1.3'],
  grant_type_unknown: ['a grant type in grant_types_supported', 'RFC 6749 §5.2'],
  grant_type_not_registered: ['a grant type in grant_types of the client', 'RFC 7591 §2'],
  code_unknown: ['a code of this server, whole', 'RFC 6749 §4.1.3'],
  code_expired: ['a code within its lifetime of a minute', 'RFC 6749 §4.1.2'],
  code_of_another_client: ['the client that the code was issued to', 'RFC 6749 §4.1.3'],
  code_replayed: ['a code that was not used before; its tokens are ended', 'RFC 6749 §4.1.2, §10.5'],
  redirect_uri_mismatch: ['the redirect_uri of the authorization request, letter by letter', 'RFC 6749 §4.1.3'],
  code_verifier_missing: ['code_verifier, since the request had a code_challenge', 'RFC 7636 §4.5'],
  code_verifier_malformed: ['code_verifier: 43 to 128 unreserved characters', 'RFC 7636 §4.1'],
  code_verifier_wrong: ['the code_verifier that the code_challenge was made of', 'RFC 7636 §4.6'],
  code_verifier_unexpected: ['no code_verifier, since the request had no code_challenge', 'RFC 9700 §2.1.1, §4.8.2'],
  grant_ended: ['a grant that was not revoked, of a user and session that stand', 'RFC 6749 §5.2, RFC 7009 §2.1'],
  refresh_token_unknown: ['a refresh token of this server, whole', 'RFC 6749 §6'],
  refresh_token_expired: ['a refresh token within its lifetime', 'RFC 6749 §6'],
  refresh_token_of_another_client: ['the client that the refresh token was issued to', 'RFC 6749 §6'],
  refresh_token_reused: ['the last refresh token of the grant; all of it is ended', 'RFC 9700 §4.14.2'],
  scope_malformed: ['scopes of visible characters, separated by single spaces', 'RFC 6749 §3.3'],
  scope_unknown: ['scopes that an API here has', 'RFC 6749 §3.3'],
  scope_not_registered: ['scopes in scope of the client', 'RFC 7591 §2'],
  scope_not_granted: ['no more scope than the user granted', 'RFC 6749 §6'],
  scope_not_allowed: ['scope that the user may grant', 'RFC 6749 §3.3'],
  scope_not_allowed_by_role: ['scope that a role of the holder allows', 'RFC 6749 §3.3'],
  scope_of_another_resource: ['scopes of the resource that is named', 'RFC 8707 §2.2'],
  scope_needs_a_user: ['no scope about a user, where none takes part', 'RFC 6749 §4.4, OIDC Core §5.4'],
  scope_not_of_key: ['no more scope than the API key has', 'RFC 8693 §2.1'],
  resource_malformed: ['resource: an absolute URI without fragment', 'RFC 8707 §2'],
  resource_unknown: ['a resource that is registered here', 'RFC 8707 §2'],
  resource_ambiguous: ['one resource, where the scopes are of several APIs', 'RFC 8707 §2.2'],
  resource_not_allowed: ['a resource in allowed_resources of the client', 'RFC 8707 §2.1, §2.2'],
  resource_not_granted: ['a resource that the user granted', 'RFC 8707 §2.2'],
  resource_without_scope: ['at least one scope of each resource that is named', 'RFC 8707 §2'],
  resource_not_of_key: ['a resource that the API key is for', 'RFC 8693 §2.2.2'],
  resource_opaque: ['a resource whose tokens are JWTs', 'RFC 8693 §2.1'],
  subject_token_type_unknown: ['urn:ostiary:params:oauth:token-type:api-key', 'RFC 8693 §2.1, §3'],
  requested_token_type_unknown: ['an access token as requested_token_type', 'RFC 8693 §2.1'],
  actor_not_supported: ['no actor_token', 'RFC 8693 §2.1'],
  client_no_resource_server: ['the client of an API', 'RFC 8693 §2.1'],
  basic_off: ['a resource with Basic on: `ostiary resource update IDENTIFIER --accepts-basic`', 'RFC 6749 §5.2'],
  nothing_accepted: ['an API with Basic on: `ostiary resource update IDENTIFIER --accepts-basic`', 'RFC 9110 §15.5.2'],
  key_malformed: ['an API key with a right checksum', 'RFC 8693 §2.2.2'],
  key_unknown: ['a key that there is', 'RFC 8693 §2.2.2, RFC 7515 §4.1.4'],
  key_network: ['a request from where the API key may be used', 'RFC 8693 §2.2.2'],
  key_ended: ['an API key that was not ended', 'RFC 8693 §2.2.2'],
  key_expired: ['an API key that has not expired', 'RFC 8693 §2.2.2'],
  key_owner_ended: ['an API key of somebody who stands', 'RFC 8693 §2.2.2'],
  key_publishable: ['a secret API key: a publishable one is never exchanged', 'RFC 8693 §2.2.2'],
  token_of_another_client: ['the client that the token was issued to', 'RFC 7009 §2.1'],
  clock_behind_revocation: ['a clock that is past the last revocation', 'RFC 9110 §15.6.4'],
}

const bearers: Entries = {
  token_missing: ['Authorization: Bearer', 'RFC 6750 §2.1, §3'],
  token_malformed: ['one access token in Authorization', 'RFC 6750 §2.1'],
  token_twice: ['the access token by one way', 'RFC 6750 §2'],
  token_invalid: ['an access token of this server for this endpoint that stands', 'RFC 6750 §3.1'],
  token_expired: ['an access token within its lifetime', 'RFC 6750 §3.1'],
  token_ended: ['an access token that was not revoked', 'RFC 6750 §3.1'],
  token_of_another: ['an access token for this endpoint', 'RFC 6750 §3.1'],
  scope_missing: ['an access token with the scope in WWW-Authenticate', 'RFC 6750 §3.1'],
  account_network: ['a request from allowed networks of the user', 'RFC 6750 §3.1'],
  address_not_forwarded: [
    'a gateway registered with --forwards-address, for what is bound to networks',
    'RFC 7239 §5.2',
  ],
  address_missing: ['the address of the caller, by for= of the gateway or behind its own', 'RFC 7239 §5.2'],
  address_unreadable: ['an IP address as that of the caller', 'RFC 7239 §6'],
  address_of_proxy: ['the address of a caller from the gateway, none that TRUST_PROXY names', 'RFC 7239 §8.1'],
  transport_insecure: ['a password that came to the gateway by https, or from its own machine', 'RFC 7617 §4'],
  transport_not_said: [
    'proto=https behind the credential of the gateway, for a password',
    'RFC 7239 §5.4, RFC 7617 §4',
  ],
  key_from_another_network: ['a request from the networks of the key', 'RFC 6750 §3.1'],
  user_ended: ['a user who stands', 'RFC 6750 §3.1'],
  client_ended: ['a client that stands', 'RFC 6750 §3.1'],
}

const logout: Entries = {
  client_of_hint_is_another: ['client_id of the client that the ID token is for', 'RP-Initiated Logout §2'],
  client_not_named: ['client_id or id_token_hint beside post_logout_redirect_uri', 'RP-Initiated Logout §3'],
  post_logout_redirect_uri_unregistered: [
    'a registered post_logout_redirect_uri, letter by letter',
    'RP-Initiated Logout §3',
  ],
}

const registration: Entries = {
  metadata_invalid: ['metadata of the kinds and values that are registered', 'RFC 7591 §2'],
  metadata_not_an_object: ['a JSON object', 'RFC 7591 §3.1'],
  metadata_unknown: ['names of client metadata that there are', 'RFC 7591 §2'],
  metadata_server_owned: ['no name that the server alone sets', 'RFC 7591 §3.2.1, RFC 7592 §2.2'],
  redirect_uri_refused: [
    'redirect URIs by https, on loopback, or of an own scheme with a dot',
    'RFC 8252 §7, RFC 9700 §2.6',
  ],
  redirect_host_refused: ['hosts in REGISTRATION_REDIRECT_HOSTS', 'RFC 7591 §3.2.2'],
  registration_policy: ['metadata within the policy of registration', 'RFC 7591 §2, §3.2.2'],
  software_statement_refused: ['no software_statement: nobody is trusted to make one', 'RFC 7591 §2.3, §3.2.2'],
  registration_token_invalid: ['an initial access token with uses left', 'RFC 7591 §3'],
  registration_access_token_invalid: [
    'the last registration access token of this client, or the one before until the last was used',
    'RFC 7592 §2, §5',
  ],
  registration_quota: ['a pause as long as Retry-After: REGISTRATION_QUOTA is used up', 'RFC 7591 §3'],
  client_id_differs: ['the client_id of this registration', 'RFC 7592 §2.2'],
  client_secret_differs: ['the client_secret of this registration, or none', 'RFC 7592 §2.2'],
  client_secret_weak: ['a client_secret that cannot be guessed', 'RFC 6749 §10.10'],
  address_refused: ['initiate_login_uri by https, at a public host', 'OIDC Registration §2'],
  sector_incomplete: ['a sector_identifier_uri that lists every redirect URI', 'OIDC Registration §5'],
  sector_malformed: ['a sector_identifier_uri that is answered with a JSON array', 'OIDC Registration §5'],
}

/** Of a JWT that a client signed, behind `assertion_` and `request_object_`. */
const jwts: Entries = {
  malformed: ['a signed JWT in compact form', 'RFC 7519 §7.2'],
  header_malformed: ['a header in JSON with alg', 'RFC 7515 §4'],
  header_critical: ['a header without crit and b64', 'RFC 7515 §4.1.11, RFC 7797 §6'],
  claims_malformed: ['claims in JSON, each once', 'RFC 7519 §4'],
  typ_wrong: ['typ of this use, or none', 'RFC 8725 §3.11'],
  iss_wrong: ['iss: the client_id', 'RFC 7521 §5.2, OIDC Core §6.1'],
  sub_malformed: ['sub: a client_id', 'RFC 7523 §3'],
  sub_wrong: ['sub: the client_id', 'RFC 7523 §3'],
  sub_is_client: ['no sub of the client, which would make an assertion of it', 'RFC 9101 §10.8'],
  aud_missing: ['aud, with typ oauth-authz-req+jwt: the issuer of this server', 'RFC 9101 §4'],
  aud_wrong: ['aud: the issuer of this server', 'RFC 7523 §3, RFC 9101 §4'],
  jti_missing: ['jti, of at most 1024 characters', 'OIDC Core §9'],
  exp_missing: ['exp', 'RFC 7523 §3, RFC 9101 §4'],
  exp_too_far: ['exp within the hour', 'RFC 7523 §3'],
  expired: ['exp in the future', 'RFC 7519 §4.1.4'],
  not_yet_valid: ['nbf in the past', 'RFC 7519 §4.1.5'],
  issued_in_future: ['iat in the past', 'RFC 7519 §4.1.6'],
  time_malformed: ['times as numbers of seconds', 'RFC 7519 §2'],
  alg_not_supported: ['alg that the metadata lists', 'RFC 8414 §2, RFC 8725 §3.1'],
  alg_not_registered: ['alg that the client has registered', 'OIDC Registration §2'],
  kid_malformed: ['kid as a text', 'RFC 7515 §4.1.4'],
  kid_missing: ['kid, where the client has several keys of the algorithm', 'OIDC Core §10.1'],
  key_unknown: ['kid and alg of a key of the client', 'RFC 7515 §4.1.4'],
  no_keys_registered: ['jwks or jwks_uri of the client', 'RFC 7591 §2'],
  signature_wrong: ['a signature by a key of the client', 'RFC 7515 §5.2'],
  unsigned: ['a signature, unless the client has registered none', 'RFC 9101 §5, OIDC Registration §2'],
  nested: ['no request or request_uri inside', 'RFC 9101 §4'],
  client_id_wrong: ['the client_id outside, inside as well', 'RFC 9101 §5'],
  response_types_differ: ['the response_type outside, inside as well', 'OIDC Core §6.1'],
}

/** Of an address that a client named, by itself or behind the name of what is there. */
const addresses: Entries = {
  outbound_url_malformed: ['an absolute URL', 'RFC 3986 §4.3'],
  outbound_url_credentials: ['a URL without user name and password', 'RFC 9110 §4.2.4'],
  outbound_not_https: ['https', 'OIDC Registration §2, CIMD §3'],
  outbound_not_public: ['a name that leads to public addresses alone, or stands in OUTBOUND_ALLOW', 'CIMD §6.5'],
  outbound_name_unknown: ['a name that is found', 'RFC 9110 §4.3.3'],
  outbound_unreachable: ['a host that answers', 'RFC 9110 §4.3.3'],
  outbound_tls: ['a certificate that is trusted for the name', 'RFC 9110 §4.3.4'],
  outbound_timeout: ['an answer within three seconds', 'RFC 9110 §4.3.3'],
  outbound_too_large: ['an answer of at most 64 KiB', 'RFC 9110 §15.5.14'],
  outbound_redirect: ['an answer at the address itself, without a redirect', 'RFC 9110 §15.4'],
  outbound_encoded: ['an answer without Content-Encoding', 'RFC 9110 §8.4'],
  outbound_busy: ['fewer requests to others at once', 'RFC 9110 §15.6.4'],
  jwks_uri_unavailable: ['jwks_uri to answer', 'RFC 7591 §2'],
  jwks_uri_asked_just_before: [
    'a key that jwks_uri had some seconds ago; it is asked again',
    'RFC 7517 §5, OIDC Core §10.1.1',
  ],
  jwks_uri_not_200: ['jwks_uri to answer 200', 'RFC 7591 §2'],
  jwks_uri_no_jwk_set: ['jwks_uri to answer with a JWK Set', 'RFC 7517 §5'],
  jwks_uri_too_many_keys: ['a JWK Set of at most 50 keys', 'RFC 7517 §5'],
  unregistered: ['a request_uri in request_uris of the client', 'OIDC Core §6.2'],
  not_200: ['the address to answer 200', 'RFC 9101 §5.2.3'],
}

/** Of a client_id that is an address, and of the document there, behind `client_document_`. */
const clientDocuments: Entries = {
  url_malformed: ['a client_id that is a URL of visible ASCII', 'CIMD §3'],
  url_not_https: ['a client_id by https', 'CIMD §3'],
  url_credentials: ['a client_id without user name and password', 'CIMD §3'],
  url_fragment: ['a client_id without a fragment', 'CIMD §3'],
  url_query: ['a client_id without a query', 'CIMD §3'],
  url_no_path: ['a client_id with a path', 'CIMD §3'],
  url_not_normal: ['a client_id as it is normalised, without dot segments', 'CIMD §3'],
  not_200: ['the document with 200', 'CIMD §4'],
  not_json: ['a document whose Content-Type is JSON', 'CIMD §4.1'],
  too_large: ['a document of at most 5 KiB', 'CIMD §6.6'],
  malformed: ['a JSON object, each member once', 'CIMD §4.1, RFC 8259 §4'],
  client_id_differs: ['the address of the document as its client_id, letter by letter', 'CIMD §4.1'],
  secret: ['no client_secret, and no end of one', 'CIMD §4.1'],
  auth_method: ['token_endpoint_auth_method of none or private_key_jwt', 'CIMD §4.1'],
  asked_just_before: ['a key that the document had some seconds ago; it is read again', 'CIMD §4.4'],
}

const whole: Entries = {
  ...{ ...requests, ...clientAuthentication, ...authorization, ...tokens },
  ...{ ...bearers, ...logout, ...registration, ...addresses },
}

const ofDocument: Entries = { ...addresses, ...registration, ...clientDocuments }

/** What may stand before a reason that is in a table of its own, the longer one first. */
const prefixed: Readonly<Record<string, Entries>> = {
  assertion_client_document_: ofDocument,
  assertion_: { ...jwts, ...addresses },
  request_object_: { ...jwts, ...addresses },
  request_uri_: addresses,
  client_document_: ofDocument,
}

/** @returns undefined for a reason that is no refusal of a request, or whose message says it all */
export function expectationOf(reason: string): Expectation | undefined {
  const [prefix] = Object.keys(prefixed).filter((each) => reason.startsWith(each))
  const entry =
    find(whole, reason) ?? (prefix === undefined ? undefined : find(prefixed[prefix]!, reason.slice(prefix.length)))
  return entry && { expected: entry[0], section: entry[1] }
}

function find(entries: Entries, name: string): Entries[string] | undefined {
  return Object.hasOwn(entries, name) ? entries[name] : undefined
}
