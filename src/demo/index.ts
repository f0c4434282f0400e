// Owns the demonstration of a first start on a loopback issuer: what it creates, and the small client that shows its tokens.

export { demoRoutes } from './demo.route.js'
export { type DemoAccounts, demoClientId, setUpDemo } from './set-up.js'
