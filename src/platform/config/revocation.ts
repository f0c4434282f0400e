import { type Static, Type } from '@sinclair/typebox'
import { isLoopbackHost } from '../network.js'
import { quote, type Source } from './variables.js'

export const revocationVariables = Type.Object({
  receivers: Type.Optional(
    Type.String({
      variable: 'REVOCATION_RECEIVERS',
      description:
        'URLs that every revocation is sent to as a Security Event Token (RFC 8935), separated by spaces; https, or http on loopback. For the process that runs the background jobs.',
    }),
  ),
  receiverTokens: Type.Optional(
    Type.String({
      variable: 'REVOCATION_RECEIVER_TOKENS',
      secret: true,
      description:
        'Bearer credentials for REVOCATION_RECEIVERS: one for each, in their order, separated by spaces or lines; - for one that wants none.',
    }),
  ),
})

export interface RevocationReceiver {
  /** As it was written: also the audience of what is sent there. */
  readonly url: string
  /** A bearer credential. */
  readonly token: string | undefined
}

export interface RevocationConfig {
  readonly receivers: readonly RevocationReceiver[]
}

/** Each costs every revocation a row. */
const most = 16

export function resolveRevocation(values: Static<typeof revocationVariables>, source: Source): RevocationConfig {
  const urls = words(values.receivers)
  const tokens = words(values.receiverTokens)
  checkReceivers(urls, source)
  if (tokens.length > 0 && tokens.length !== urls.length) {
    source.refuse(
      'REVOCATION_RECEIVER_TOKENS',
      `has ${tokens.length}, and REVOCATION_RECEIVERS has ${urls.length}`,
      'Give one for each, in the same order, and - where a receiver wants none.',
    )
  }
  // RFC 6750 §2.1. Nothing of it is repeated.
  if (tokens.some((token) => !/^[\w.~+/-]+=*$/.test(token))) {
    source.refuse(
      'REVOCATION_RECEIVER_TOKENS',
      'has what is no bearer credential',
      'Write letters, digits and -._~+/ alone, as the receiver gave it.',
    )
  }
  return { receivers: urls.map((url, index) => ({ url, token: tokens[index] === '-' ? undefined : tokens[index] })) }
}

function checkReceivers(urls: readonly string[], { refuse }: Source): void {
  const name = 'REVOCATION_RECEIVERS'
  if (urls.length > most) refuse(name, `has ${urls.length} URLs`, `Name at most ${most}.`)
  if (new Set(urls).size < urls.length) refuse(name, 'has a URL twice', 'Name each once.')
  for (const text of urls) {
    const url = URL.canParse(text) ? new URL(text) : undefined
    // Its query may be a secret, and so may be its path.
    const shown = url && url.origin !== 'null' ? quote(url.origin) : 'something'
    if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
      refuse(name, `has ${shown}, which is not a URL`, 'Write it like https://receiver.example.com/events.')
    } else if (url.username || url.password) {
      refuse(name, `has ${shown} with a user name or password`, 'Use REVOCATION_RECEIVER_TOKENS.')
    } else if (url.hash) {
      refuse(name, `has ${shown} with a fragment`, 'Leave it out: it is sent to nobody.')
    } else if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
      refuse(name, `has ${shown}, plain http on anything but loopback`, 'Use https.')
    }
  }
}

function words(text: string | undefined): readonly string[] {
  return text?.split(/\s+/).filter((word) => word !== '') ?? []
}
