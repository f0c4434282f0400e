import { type Static, Type } from '@sinclair/typebox'
import { quote, type Source } from './variables.js'

export const outboundVariables = Type.Object({
  allow: Type.Optional(
    Type.String({
      variable: 'OUTBOUND_ALLOW',
      description:
        'Hosts with port, separated by spaces, as intranet.example:443, that are asked although their address is not public or they speak plain http, loopback included, where a client names them (jwks_uri, metadata documents, logos, logout). Everybody else is asked by https at public addresses alone.',
    }),
  ),
})

export interface OutboundConfig {
  /** In small letters, as `intranet.example:443` or `[::1]:3000`. */
  readonly allow: readonly string[]
}

export function resolveOutbound({ allow }: Static<typeof outboundVariables>, source: Source): OutboundConfig {
  const words = allow?.split(/[\s,]+/).filter((word) => word !== '') ?? []
  return { allow: words.flatMap((word) => readHost(word, source)) }
}

function readHost(word: string, { refuse }: Source): readonly string[] {
  const text = `http://${word}/`
  const url =
    /^(?:\[[0-9a-f:.]+\]|[\p{L}\p{N}._-]+):\d{1,5}$/iu.test(word) && URL.canParse(text) ? new URL(text) : undefined
  if (url) return [`${url.hostname}:${url.port || '80'}`]
  refuse('OUTBOUND_ALLOW', `has ${quote(word)}, which is no host with port`, 'Write it like intranet.example:443.')
  return []
}
