import { type Client, shareOf } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { sha256 } from '../../platform/crypto/hash.js'
import { OutboundError, type OutboundShare } from '../../platform/outbound/index.js'

/** An image as it may be given to a browser. */
export interface ClientLogo {
  readonly body: Buffer
  readonly contentType: string
  readonly etag: string
}

export interface ClientLogos {
  /** @returns undefined where there is none, or none that is taken */
  readonly find: (clientId: string) => Promise<ClientLogo | undefined>
}

/** Logos that are remembered: at most 64 KiB each. */
const capacity = 100

/** Logos that are fetched at once, in each share: whoever answers slowly must not use up what keys of others are asked by. */
const mostFetched = 8

/** Milliseconds until a logo is asked for again, and one that could not be had. */
const ages = { found: 3_600_000, missing: 300_000 }

interface Entry {
  /** Where it came from: another address is another logo. */
  readonly url: string
  readonly until: number
  readonly logo: Promise<ClientLogo | undefined>
}

/**
 * Our own copies of clients' logos. A browser that fetched them itself would tell the client who is about to decide, from where
 * and when; and the client could show each of them another picture.
 */
export function createClientLogos(ctx: Context): ClientLogos {
  const entries = new Map<string, Entry>()
  const fetched = { operators: 0, strangers: 0 }

  async function fetchBounded(client: Client, url: string): Promise<ClientLogo | undefined> {
    const share = shareOf(client)
    fetched[share]++
    try {
      return await fetchLogo(ctx, share, url)
    } finally {
      fetched[share]--
    }
  }

  function remember(clientId: string, entry: Entry): void {
    entries.delete(clientId)
    entries.set(clientId, entry)
    if (entries.size > capacity) entries.delete(entries.keys().next().value!)
  }

  return {
    async find(clientId) {
      const client = await ctx.clients.find(clientId)
      const url = client?.disabledAt ? undefined : client?.logoUri
      if (!client || url === undefined) return undefined
      const now = ctx.clock.now().getTime()
      const known = entries.get(clientId)
      if (known?.url === url && known.until > now) return known.logo

      if (fetched[shareOf(client)] >= mostFetched) return undefined
      const logo = fetchBounded(client, url)
      remember(clientId, { url, until: now + ages.found, logo })
      const found = await logo
      if (!found && entries.get(clientId)?.logo === logo) remember(clientId, { url, until: now + ages.missing, logo })
      return found
    },
  }
}

async function fetchLogo(ctx: Context, share: OutboundShare, url: string): Promise<ClientLogo | undefined> {
  try {
    const accept = 'image/png, image/jpeg, image/webp, image/gif'
    const { status, body } = await ctx.outbound.get(url, { share, accept })
    const contentType = status === 200 ? imageType(body) : undefined
    if (contentType === undefined) return undefined
    return { body, contentType, etag: `"${sha256(body).toString('base64url').slice(0, 22)}"` }
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error
    ctx.log.info({ reason: error.reason }, 'the logo of a client could not be fetched')
    return undefined
  }
}

/** By its first bytes, whatever its server says. Never SVG, which can run script. */
function imageType(body: Buffer): string | undefined {
  const text = body.toString('latin1', 0, 12)
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png'
  if (text.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (/^GIF8[79]a/.test(text)) return 'image/gif'
  return text.startsWith('RIFF') && text.endsWith('WEBP') ? 'image/webp' : undefined
}
