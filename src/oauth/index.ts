// The vocabulary of OAuth 2.0, pure: error codes, parameters, scopes, redirect URIs, PKCE, resources, Basic credentials.
// Nothing here knows a client, a user, a database or the time.
export * from './basic-credentials.js'
export * from './errors.js'
export * from './parameters.js'
export * from './pkce.js'
export * from './redirect-uri.js'
export * from './resource.js'
export * from './scope.js'
