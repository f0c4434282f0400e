// The vocabulary of OAuth 2.0 and OpenID Connect, pure: error codes, parameters, scopes, claims that are asked for, redirect URIs,
// response types, PKCE, resources, Basic credentials.
// Nothing here knows a client, a user, a database or the time.
export * from './basic-credentials.js'
export * from './claims-request.js'
export * from './errors.js'
export { type Expectation, expectationOf } from './expectations.js'
export * from './json-object.js'
export * from './jwt.js'
export * from './parameters.js'
export * from './pkce.js'
export * from './redirect-uri.js'
export * from './resource.js'
export * from './response-type.js'
export * from './scope.js'
