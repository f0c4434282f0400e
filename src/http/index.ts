// Owns how requests come in and answers go out: the server, the scopes (each an error channel), headers, cookies, CORS and
// the limits on failures. Knows nothing of what the routes are about.

export type { AddressScreen } from './address-screen.js'
export { bearerScope, bearerToken, refuseTokenInQuery } from './bearer-scope.js'
export { browserScope } from './browser-scope.js'
export { type CachedDocument, cachedDocument } from './cached-document.js'
export { type BrowserCookie, clearCookie, readCookie, writeCookie } from './cookies.js'
export { type CorsOptions, cors, corsScope } from './cors.js'
export { checkCsrfToken, csrfToken } from './csrf.js'
export { type DescribedError, describeError, nameError } from './describe-error.js'
export { type DirectForm, type DirectReply, type DirectText, directAnswers, FieldedAnswer } from './direct.js'
export { onStop } from './drain.js'
export * from './failure-limits.js'
export { listen, tryPort } from './listen.js'
export type { Register } from './methods.js'
export { type DocumentedApi, type DocumentedOperation, type OpenApiOptions, openApiDocument } from './openapi.js'
export { type Operation, operation, operationRoutes } from './operations.js'
export { type SendPageOptions, seeOther, sendPage } from './pages.js'
export { type FieldProblem, ProblemError, problemSchema, problemScope } from './problem-scope.js'
export { protocolScope } from './protocol-scope.js'
export { publicScope, sendCached } from './public-scope.js'
export { asOAuthError, HttpError } from './refusal.js'
export { registrationScope } from './registration-scope.js'
export {
  clientAddress,
  encodedBody,
  encodedQuery,
  hopBehind,
  originOf,
  trustedProxies,
  wantsPage,
} from './request.js'
export { PageError, type PageErrorOptions, sendAnyError, sendErrorPage, sendJsonError } from './send-error.js'
export { createHttpServer, type HttpServerOptions } from './server.js'
