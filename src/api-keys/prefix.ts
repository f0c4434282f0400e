import type { ApiKeyKind } from '../store/index.js'
import { invalid } from './invalid.js'

/** What a key of each kind begins with, unless the operator has a prefix of their own for it; a signing key only says it. */
export const kindPrefixes: Readonly<Record<ApiKeyKind, string>> = { secret: 'sk', publishable: 'pk', signing: 'sig' }

/**
 * What `sk` begins is secret, and nothing else is: by its prefix a scanner, a reader and an end of all of a prefix know what
 * they have before them.
 *
 * @throws {InvalidValueError}
 */
export function checkPrefix(kind: ApiKeyKind, prefix: string): void {
  if (isOfKind(kind, prefix)) return
  throw invalid('prefix', `The prefix ${prefix} is not for ${kind} keys, whose own is ${kindPrefixes[kind]}.`)
}

/** That of a successor: a key that was made when any prefix could be chosen may have that of another kind. */
export function nextPrefix(kind: ApiKeyKind, prefix: string): string {
  return isOfKind(kind, prefix) ? prefix : kindPrefixes[kind]
}

function isOfKind(kind: ApiKeyKind, prefix: string): boolean {
  return prefix === kindPrefixes[kind] || !Object.values(kindPrefixes).includes(prefix)
}
