// Owns what the user is asked on the way, whoever asks: the interaction that waits for them, what is left to do, and the
// steps (login, consent), each a route and a page. How a request is answered in the end is the feature's that started it.

export { clientLogoRoute } from './consent/client-logo.route.js'
export { consentRoute } from './consent/consent.route.js'
export { DeferredError } from './deferred-error.js'
export {
  addressOf,
  alreadyOver,
  type ClientDemands,
  type Ending,
  type Granted,
  type OwnDemands,
  type Prompt,
  type Refused,
  startAgain,
  startInteraction,
  stepAddress,
} from './interaction.js'
export { loginRoute } from './login/login.route.js'
export { findSituation } from './situation.js'
export { createStarts, type Starts } from './starts.js'
export { destinationHost, findEnabledClient, strangerOf } from './visit.js'
