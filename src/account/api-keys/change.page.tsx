import { Alert, CsrfToken } from '../../ui/index.js'
import { AccountPage } from '../layout.js'
import type { FormFailure } from './failure.js'
import { KeyName, type KeyView } from './key-facts.js'
import { DescriptionField, NameField, NetworksField } from './key-fields.js'

export interface ChangeKeyPageProps {
  /** The address of /account. */
  readonly base: string
  readonly csrfToken: string
  readonly view: KeyView
  readonly filled: {
    readonly name: string
    readonly description: string
    /** Each separated by a space. */
    readonly networks: string
  }
  readonly failure?: FormFailure | undefined
}

const fields = ['name', 'description', 'networks']

/** What can be changed of a key while it lives. */
export function ChangeKeyPage({ base, csrfToken, view, filled, failure }: ChangeKeyPageProps) {
  const besideNone = failure && !fields.includes(failure.field ?? '')
  return (
    <AccountPage title={failure ? 'Problem: Change an API key' : 'Change an API key'} base={base} part="api-keys">
      <div class="stack-s">
        <h1>Change an API key</h1>
        <p class="lead">
          <KeyName name={view.name} />
        </p>
      </div>
      {failure && (
        <Alert focused={besideNone}>{besideNone ? failure.message : 'Nothing was changed: see below.'}</Alert>
      )}
      {view.managed && (
        <p class="notice">
          An administrator said what this key may do: you can make it narrower, and only they make it wider.
        </p>
      )}
      <form method="post">
        <CsrfToken value={csrfToken} />
        <NameField value={filled.name} failure={failure} />
        <DescriptionField value={filled.description} failure={failure} />
        <NetworksField value={filled.networks} failure={failure} ownerNetworks={view.ownerNetworks} />
        <div class="steps">
          <button id="change-key" class="button primary" type="submit">
            Save
          </button>
          <a class="button" href={view.href}>
            Cancel
          </a>
        </div>
      </form>
    </AccountPage>
  )
}
