// Owns how requests come in and answers go out: the server, the scopes (each an error channel), headers, cookies, CORS and
// the limits on failures. Knows nothing of what the routes are about.

export { bearerScope, bearerToken } from './bearer-scope.js'
export { browserScope } from './browser-scope.js'
export { type BrowserCookie, clearCookie, readCookie, writeCookie } from './cookies.js'
export { type CorsOptions, cors, corsScope } from './cors.js'
export { checkCsrfToken, csrfToken } from './csrf.js'
export { onStop } from './drain.js'
export * from './failure-limits.js'
export { listen, tryPort } from './listen.js'
export type { Register } from './methods.js'
export { type SendPageOptions, seeOther, sendPage } from './pages.js'
export { protocolScope } from './protocol-scope.js'
export { type CachedDocument, cachedDocument, publicScope, sendCached } from './public-scope.js'
export { asOAuthError, HttpError } from './refusal.js'
export { clientAddress, encodedBody, encodedQuery, originOf, wantsPage } from './request.js'
export { PageError, type PageErrorOptions, sendAnyError, sendErrorPage, sendJsonError } from './send-error.js'
export { createHttpServer, type HttpServerOptions } from './server.js'
