import type { ComponentChildren } from 'preact'
import { type ApiKeyStateName, apiKeyEndText, apiKeyStateText, displayName, displayText, Time } from '../../ui/index.js'

/** What the pages show of a key. */
export interface KeyView {
  readonly href: string
  readonly id: string
  readonly kind: 'secret' | 'publishable' | 'signing'
  readonly prefix: string
  readonly environment: string
  readonly name: string
  readonly description?: string | undefined
  readonly scope: readonly string[]
  /** As the APIs call themselves. */
  readonly resources: readonly string[]
  readonly networks: readonly string[]
  /** Of its owner, where they bound it: it must be in these, too. */
  readonly ownerNetworks?: readonly string[] | undefined
  /** An administrator said what it may do. */
  readonly managed?: boolean | undefined
  readonly origins: readonly string[]
  readonly state: ApiKeyStateName
  readonly createdAt: Date
  /** Undefined: never. */
  readonly expiresAt?: Date | undefined
  readonly successorHref?: string | undefined
  readonly endedAt?: Date | undefined
  readonly endReason?: string | undefined
  /** When it was seen where others read it. */
  readonly exposedAt?: Date | undefined
  readonly lastUsedAt?: Date | undefined
  /** A network. */
  readonly lastUsedFrom?: string | undefined
  /** The application through which it was made, as it calls itself. */
  readonly through?: string | undefined
}

export function KeyName({ name }: { readonly name: string }) {
  return <bdi>{displayText(name, 100) || 'Without a name'}</bdi>
}

export function KeyState({ state, exposedAt }: Pick<KeyView, 'state' | 'exposedAt'>) {
  return (
    <span class="badges">
      {exposedAt && <span class="badge exposed">Exposed</span>}
      <span class={state === 'live' ? 'badge live' : 'badge'}>{apiKeyStateText(state)}</span>
    </span>
  )
}

/** How the key begins: so it is found again in a program's settings. */
export function KeyStart({ prefix, environment, id }: Pick<KeyView, 'prefix' | 'environment' | 'id'>) {
  return <code>{`${prefix}_${environment}_${id}…`}</code>
}

const kinds = {
  secret: 'Secret: for servers and scripts',
  publishable: 'Publishable: stands in web pages, and reads',
  signing: 'Signing: requests are signed, and no secret is sent',
} as const

/** @param props.whole with what the list leaves out */
export function KeyFacts({ view, whole = false }: { readonly view: KeyView; readonly whole?: boolean }) {
  const {
    id,
    scope,
    resources,
    networks,
    ownerNetworks = [],
    origins,
    createdAt,
    exposedAt,
    lastUsedAt,
    lastUsedFrom,
    through,
  } = view
  return (
    <dl class="facts pairs small">
      {view.kind === 'signing' ? (
        <Fact name="Id">
          <code>{id}</code>
        </Fact>
      ) : (
        <Fact name="Begins with">
          <KeyStart {...view} />
        </Fact>
      )}
      {whole && <Fact name="Kind">{kinds[view.kind]}</Fact>}
      <Fact name="May do">
        <Words words={scope} />
      </Fact>
      <Fact name="At">{resources.map((name) => displayText(name, 200)).join(', ')}</Fact>
      <Fact name="Made">
        <Time at={createdAt} />
      </Fact>
      <Ends view={view} />
      {exposedAt && (
        <Fact name="Exposed">
          <Time at={exposedAt} />, in the address of a request
        </Fact>
      )}
      <Fact name="Last used">
        {lastUsedAt ? <Time at={lastUsedAt} /> : 'Not yet'}
        {lastUsedAt && lastUsedFrom !== undefined && ` from ${lastUsedFrom}`}
      </Fact>
      {through !== undefined && (
        <Fact name="Made through">
          <bdi>{displayName(through)}</bdi>
        </Fact>
      )}
      {whole && <Fact name="Used from">{networks.length > 0 ? <Words words={networks} /> : 'Any network'}</Fact>}
      {whole && ownerNetworks.length > 0 && (
        <Fact name="Within">
          <Words words={ownerNetworks} />, from where your account may be used
        </Fact>
      )}
      {whole && view.kind === 'publishable' && (
        <Fact name="Stands in pages of">
          <Words words={origins} />
        </Fact>
      )}
    </dl>
  )
}

function Ends({ view: { state, expiresAt, endedAt, endReason } }: { readonly view: KeyView }) {
  if (endedAt) {
    return (
      <Fact name="Ended">
        <Time at={endedAt} />. {apiKeyEndText(endReason)}.
      </Fact>
    )
  }
  return (
    <Fact name={state === 'expired' ? 'Expired' : 'Expires'}>
      {expiresAt ? <Time at={expiresAt} /> : <strong>Never</strong>}
    </Fact>
  )
}

function Words({ words }: { readonly words: readonly string[] }) {
  return (
    <>
      {words.map((word, index) => (
        <>
          {index > 0 && ' '}
          <code>{word}</code>
        </>
      ))}
    </>
  )
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
