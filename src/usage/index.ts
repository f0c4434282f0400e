// Owns usage: how often credentials are used, for what and from where; what can be read from that.

export { type AdoptedKey, type AdoptedSecret, adoptionOf, adoptionOfSecrets } from './adoption.js'
export { describeAdoptedSecret, describeAdoption, describeUsage } from './describe.js'
export { type Removable, type RemovableScopes, removableScopes } from './removable.js'
export { isUse, type UsageReport, usageOf } from './report.js'
export { createUsageTrail, type UsageTrail, type Use } from './trail.js'
