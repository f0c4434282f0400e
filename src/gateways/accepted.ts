import type { Context } from '../context.js'
import type { AcceptedCredential, Gateway } from '../store/index.js'

/** What callers may show it now: of what it is registered for, a password only while Basic is on for its API. */
export function acceptedNow(
  { resources }: Pick<Context, 'resources'>,
  { accept, resource }: Pick<Gateway, 'accept' | 'resource'>,
): readonly AcceptedCredential[] {
  return resources.find(resource)?.acceptsBasic ? accept : accept.filter((kind) => kind !== 'basic')
}
