import { Alert, Choices, CsrfToken, displayText, durationText, scopeSentence, TextField } from '../../ui/index.js'
import { AccountPage } from '../layout.js'
import type { FormFailure } from './failure.js'
import { DescriptionField, errorOf, NameField, NetworksField } from './key-fields.js'
import { choiceOf, type ScopeGroup } from './scope-choices.js'

/** The form as somebody filled it in. */
export interface FilledForm {
  /** The id that the key will have, signed. */
  readonly keyId: string
  readonly name: string
  readonly description: string
  readonly environment: string
  readonly kind: 'secret' | 'publishable'
  /** Each separated by a space. */
  readonly origins: string
  /** Each separated by a space. */
  readonly networks: string
  readonly ticked: ReadonlySet<string>
  /** Seconds, or `never`. */
  readonly lifetime: string
}

export interface NewKeyPageProps {
  /** The address of /account. */
  readonly base: string
  readonly csrfToken: string
  readonly groups: readonly ScopeGroup[]
  /** Seconds that may be chosen. */
  readonly lifetimes: readonly number[]
  readonly filled: FilledForm
  readonly failure?: FormFailure | undefined
}

const fields = ['name', 'description', 'environment', 'scope', 'origins', 'networks', 'expires_in']

/** Asks what a new key is called and what it may do. */
export function NewKeyPage(props: NewKeyPageProps) {
  const { base, groups, failure } = props
  const besideNone = failure && !fields.includes(failure.field ?? '')
  return (
    <AccountPage title={failure ? 'Problem: Make an API key' : 'Make an API key'} base={base} part="api-keys">
      <h1>Make an API key</h1>
      {failure && <Alert focused={besideNone}>{besideNone ? failure.message : 'No key was made: see below.'}</Alert>}
      {groups.length === 0 ? (
        <p>
          There is nothing that a key of yours could do: no API of this server lets you in. Ask the people who run it.
        </p>
      ) : (
        <Form {...props} />
      )}
    </AccountPage>
  )
}

function Form({ base, csrfToken, groups, lifetimes, filled, failure }: NewKeyPageProps) {
  return (
    <form method="post">
      <CsrfToken value={csrfToken} />
      <input type="hidden" name="key_id" value={filled.keyId} />
      <NameField value={filled.name} failure={failure} />
      <DescriptionField value={filled.description} failure={failure} />
      {groups.map((group, index) => (
        <Choices
          key={group.identifier}
          id={`scope-${index}`}
          name="scope"
          several
          legend={
            <>
              What it may do at <bdi>{displayText(group.label, 200)}</bdi>
            </>
          }
          error={index === 0 ? errorOf(failure, 'scope') : undefined}
          choices={group.scopes.map(({ name, sentence }) => {
            const value = choiceOf(group.identifier, name)
            return {
              value,
              label: <bdi>{displayText(scopeSentence({ name, sentence }), 240)}</bdi>,
              hint: name,
              chosen: filled.ticked.has(value),
            }
          })}
        />
      ))}
      <Choices
        name="expires_in"
        legend="Expires"
        error={errorOf(failure, 'expires_in')}
        choices={[
          ...lifetimes.map((seconds) => ({
            value: String(seconds),
            label: `In ${durationText(seconds)}`,
            chosen: filled.lifetime === String(seconds),
          })),
          {
            value: 'never',
            label: 'Never',
            hint: 'Whoever finds a copy, in years even, can use it. You have to remember to end it.',
            chosen: filled.lifetime === 'never',
          },
        ]}
      />
      <Choices
        name="kind"
        legend="Where it is kept"
        choices={[
          {
            value: 'secret',
            label: 'On a server, or with a script',
            hint: 'A secret key: nobody else may see it.',
            chosen: filled.kind === 'secret',
          },
          {
            value: 'publishable',
            label: 'In a web page',
            hint: 'A publishable key: everybody can read it, so it may only read, in pages of the origins below.',
            chosen: filled.kind === 'publishable',
          },
        ]}
      />
      <TextField
        name="origins"
        label="Origins of the web pages"
        hint="For a publishable key, such as https://shop.example.com; several with a space between."
        value={filled.origins}
        error={errorOf(failure, 'origins')}
        verbatim
      />
      <NetworksField value={filled.networks} failure={failure} />
      <TextField
        name="environment"
        label="Environment"
        hint="A word that stands in the key, of a-z and 0-9, such as live or test."
        value={filled.environment}
        error={errorOf(failure, 'environment')}
        maxLength={16}
        verbatim
      />
      <div class="steps">
        <button id="make-key" class="button primary" type="submit">
          Make the key
        </button>
        <a class="button" href={`${base}/api-keys`}>
          Cancel
        </a>
      </div>
    </form>
  )
}
