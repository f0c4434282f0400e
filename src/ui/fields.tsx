import type { ComponentChildren } from 'preact'

export interface TextFieldProps {
  /** Also the id of the input. */
  readonly name: string
  readonly label: string
  readonly value?: string | undefined
  /** What may stand in it. */
  readonly hint?: string | undefined
  /** What is wrong with it. */
  readonly error?: string | undefined
  readonly required?: boolean
  readonly maxLength?: number
  /** Words of a machine: nothing is corrected or begun with a capital. */
  readonly verbatim?: boolean
}

/** One line of text, with its label, its hint and what is wrong with it. Where something is, the focus is there. */
export function TextField(props: TextFieldProps) {
  const { name, label, value, hint, error, required = false, maxLength, verbatim = false } = props
  return (
    <div class="field">
      <label for={name}>
        {label}
        {!required && <span class="optional"> (optional)</span>}
      </label>
      <input
        id={name}
        name={name}
        type="text"
        autocomplete="off"
        {...(verbatim ? { autocapitalize: 'none', autocorrect: 'off', spellcheck: false } : {})}
        required={required}
        maxLength={maxLength}
        value={value}
        autofocus={error !== undefined}
        aria-invalid={error !== undefined || undefined}
        aria-describedby={describedBy(name, hint, error)}
      />
      <Hint id={`${name}-hint`} text={hint} />
      <FieldError id={`${name}-error`} text={error} />
    </div>
  )
}

export interface ChoicesProps {
  readonly name: string
  readonly legend: ComponentChildren
  /** Whether more than one may be chosen. */
  readonly several?: boolean
  readonly hint?: string | undefined
  readonly error?: string | undefined
  readonly choices: readonly {
    readonly value: string
    readonly label: ComponentChildren
    readonly hint?: string | undefined
    readonly chosen: boolean
  }[]
  /** Tells apart groups that share a name. */
  readonly id?: string
}

/** A group of checkboxes or radio buttons, with what is wrong with it. */
export function Choices({ name, legend, several = false, hint, error, choices, id = name }: ChoicesProps) {
  return (
    <fieldset aria-describedby={describedBy(id, hint, error)}>
      <legend>{legend}</legend>
      <Hint id={`${id}-hint`} text={hint} />
      <FieldError id={`${id}-error`} text={error} focused />
      <ul class="scopes">
        {choices.map((choice) => (
          <li key={choice.value}>
            <label class="scope">
              <input type={several ? 'checkbox' : 'radio'} name={name} value={choice.value} checked={choice.chosen} />
              <span>
                {choice.label}
                {choice.hint !== undefined && <span class="small muted block-line">{choice.hint}</span>}
              </span>
            </label>
          </li>
        ))}
      </ul>
    </fieldset>
  )
}

function Hint({ id, text }: { readonly id: string; readonly text: string | undefined }) {
  if (text === undefined) return null
  return (
    <p id={id} class="small muted">
      {text}
    </p>
  )
}

function FieldError({ id, text, focused = false }: FieldErrorProps) {
  if (text === undefined) return null
  return (
    <p id={id} class="field-error" tabIndex={focused ? -1 : undefined} autofocus={focused}>
      {text}
    </p>
  )
}

interface FieldErrorProps {
  readonly id: string
  readonly text: string | undefined
  /** Where no field is that the reader should go to instead. */
  readonly focused?: boolean
}

function describedBy(name: string, hint: string | undefined, error: string | undefined): string | undefined {
  const ids = [...(hint === undefined ? [] : [`${name}-hint`]), ...(error === undefined ? [] : [`${name}-error`])]
  return ids.length > 0 ? ids.join(' ') : undefined
}
