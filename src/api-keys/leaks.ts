import type { By } from '../audit/index.js'
import type { Context } from '../context.js'
import { newNotice } from '../notices/index.js'
import { decodeOnce } from '../platform/percent.js'
import { type ApiKey, type NewNotice, notices } from '../store/index.js'
import { displayText } from '../ui/index.js'
import { showApiKey } from './check.js'
import { endApiKeysById } from './end.js'
import { findApiKeys } from './format.js'

/** Something that was found in public, and looks like a key of ours. */
export interface LeakReport {
  readonly token: string
  /** Where it was found; empty where that is not said. */
  readonly url: string
}

/**
 * Ends the keys that were found, or warns their owners, as `LEAKED_KEYS` says; a publishable key is public by design, so its
 * owner is told and nothing ends. What is over already stays as it is. A report that comes twice changes nothing the second time.
 *
 * A text with a wrong checksum is looked up nowhere. An unknown id and a wrong secret are the same to whoever reports, and cost
 * the same: who gets a yes had the whole key before.
 *
 * @returns for each report, in their order, whether it is a key that we made
 */
export async function reportLeaks(ctx: Context, reports: readonly LeakReport[], by: By): Promise<readonly boolean[]> {
  const places = new Map<string, string>()
  for (const { token, url } of reports) if (!places.has(token)) places.set(token, url)
  const found = new Map<string, FoundKey>()
  const known = new Set<string>()
  await Promise.all(
    [...places].map(async ([token, url]) => {
      const { problem, key } = await showApiKey(ctx, token)
      if (!key) return
      known.add(token)
      if (problem === undefined) found.set(key.id, { key, foundAt: placeText(url, token) })
    }),
  )
  await act(ctx, found, by)
  return reports.map(({ token }) => known.has(token))
}

interface FoundKey {
  readonly key: ApiKey
  readonly foundAt: string | undefined
}

async function act(ctx: Context, found: ReadonlyMap<string, FoundKey>, by: By): Promise<void> {
  const all = [...found.values()]
  const ends = ({ key }: FoundKey): boolean => ctx.config.apiKeys.leaked === 'end' && key.kind === 'secret'
  const tell = (kind: 'ended' | 'leaked') => (each: FoundKey) => leakNotice(ctx, each, kind, by)
  const ended = all.filter(ends).map(({ key }) => key.id)
  if (ended.length > 0) {
    await endApiKeysById(ctx, ended, {
      cause: { ...by, reason: 'leaked' },
      // Of two reports at once only the one that ends a key says so.
      alongside: (tx, keys) =>
        notices.createAll(
          tx,
          keys.map(({ id }) => tell('ended')(found.get(id)!)),
        ),
    })
  }
  await notices.createAll(ctx.db, all.filter((each) => !ends(each)).map(tell('leaked')))
}

function leakNotice(ctx: Context, { key, foundAt }: FoundKey, kind: 'ended' | 'leaked', by: By): NewNotice {
  return newNotice(ctx, {
    kind,
    owner: key.owner,
    subject: { kind: 'api_key', id: key.id },
    detail: {
      name: key.name,
      found_at: foundAt,
      publishable: key.kind === 'publishable' || undefined,
      rotated: key.successor !== undefined || undefined,
    },
    by,
    event: { type: 'api_key.leaked', reason: kind === 'ended' ? 'ended' : 'warned' },
  })
}

/** Characters of a key that nobody shows: its secret and checksum. */
const hidden = 49

/**
 * An address as it is shown, mailed and kept: without what may be a secret in it, the key itself above all. Where a key stands in
 * its path, however it is written, only whose page it is is told.
 */
function placeText(url: string, token: string): string | undefined {
  if (!URL.canParse(url)) return undefined
  const { protocol, origin, pathname } = new URL(url)
  if (protocol !== 'https:' && protocol !== 'http:') return undefined
  const path = decodedWhole(pathname)
  const holdsKey = path === undefined || path.includes(token.slice(-hidden)) || findApiKeys(path).length > 0
  return displayText(`${origin}${holdsKey ? '/...' : pathname}`.slice(0, 2_000), 300)
}

/** @returns undefined for what is encoded more often than anybody writes it */
function decodedWhole(text: string): string | undefined {
  let decoded = text
  for (let times = 0; times < 3; times++) {
    const next = decodeOnce(decoded)
    if (next === decoded) return decoded
    decoded = next
  }
  return undefined
}
