// Owns taking back: revoke(target), and what this process has heard of revocations.

export {
  type EndableClaims,
  endableBy,
  ends,
  endsOfApiKey,
  type KeySet,
  refuseBehind,
  roleHolder,
  roleTarget,
  type Service,
  serviceOf,
} from './ended-by.js'
export { createRevocationList, type RevocationList } from './list.js'
export { narrowKeysOf } from './narrowed-keys.js'
export {
  commitRevocation,
  coverCommit,
  describeRevocation,
  longestAccessToken,
  type RevocationCause,
  type RevocationTarget,
  revoke,
} from './revoke.js'
export * from './status-lists/index.js'
export type { ListedRevocation } from './table.js'
