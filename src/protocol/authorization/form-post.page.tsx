import { Page, SubmitItself } from '../../ui/index.js'

export interface FormPostPageProps {
  readonly action: string
  readonly parameters: readonly (readonly [name: string, value: string])[]
}

/** The answer as a form that sends itself; without script by its button. OAuth 2.0 Form Post Response Mode §2. */
export function FormPostPage({ action, parameters }: FormPostPageProps) {
  return (
    <Page title="Back to the application">
      <h1>You are being sent back</h1>
      <p>If this page stays, press the button.</p>
      <form method="post" action={action}>
        {parameters.map(([name, value]) => (
          <input key={name} type="hidden" name={name} value={value} />
        ))}
        <button class="button primary" type="submit">
          Continue
        </button>
      </form>
      <SubmitItself />
    </Page>
  )
}
