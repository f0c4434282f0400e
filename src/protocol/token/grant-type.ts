import type { Static, TObject } from '@sinclair/typebox'
import type { Client } from '../../clients/index.js'
import type { Context, Origin } from '../../context.js'
import type { FieldedAnswer } from '../../http/index.js'
import { compileParameters, type Parameters } from '../../oauth/index.js'
import type { TokenResponse } from '../../tokens/index.js'

export interface GrantRequest<P> {
  /** Authenticated, and registered for this grant type. */
  readonly client: Client
  readonly parameters: P
  /** All that was sent, for whoever must compare requests. */
  readonly sent: Parameters
  readonly origin: Origin
}

/** Who may use a grant type for what, without being registered for it. */
type Exemption = (client: Client, parameters: Parameters) => boolean

/** With header fields where what was presented has a limit of its own. */
export type GrantAnswer = TokenResponse | FieldedAnswer

/** How a client asks at /token. */
export interface GrantType {
  readonly name: string
  readonly permits?: Exemption | undefined
  readonly handle: (ctx: Context, request: GrantRequest<Parameters>) => Promise<GrantAnswer>
  /** Where no client need be named. */
  readonly handleAlone?: (ctx: Context, request: ClientlessRequest<Parameters>) => Promise<GrantAnswer>
}

/** What is presented says all, whoever presents it. */
export type ClientlessRequest<P> = Omit<GrantRequest<P>, 'client'>

export interface GrantTypeDefinition<T extends TObject> {
  /** As in the IANA registry. */
  readonly name: string
  readonly parameters: T
  readonly permits?: Exemption
  readonly handle: (ctx: Context, request: GrantRequest<Static<T>>) => Promise<GrantAnswer>
}

/** A grant type whose parameters are checked before it is asked. */
export function defineGrantType<T extends TObject>(definition: GrantTypeDefinition<T>): GrantType {
  const read = compileParameters(definition.parameters)
  return {
    name: definition.name,
    permits: definition.permits,
    handle: (ctx, { client, parameters, sent, origin }) =>
      definition.handle(ctx, { client, parameters: read(parameters), sent, origin }),
  }
}

/** One that needs no client; if one is named all the same, it is authenticated, and need not be registered for it. */
export function defineClientlessGrantType<T extends TObject>(definition: {
  readonly name: string
  readonly parameters: T
  readonly handle: (ctx: Context, request: ClientlessRequest<Static<T>>) => Promise<GrantAnswer>
}): GrantType {
  const read = compileParameters(definition.parameters)
  const handle = (ctx: Context, { parameters, sent, origin }: ClientlessRequest<Parameters>) =>
    definition.handle(ctx, { parameters: read(parameters), sent, origin })
  return { name: definition.name, permits: () => true, handle, handleAlone: handle }
}
