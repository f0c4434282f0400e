import type { By } from '../audit/index.js'

/** Whoever may run commands on this machine. */
export const operator: By = { actor: 'operator' }
