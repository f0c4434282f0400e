import { TextField } from '../../ui/index.js'
import type { FormFailure } from './failure.js'

interface FieldProps {
  /** As somebody filled it in. */
  readonly value: string
  readonly failure: FormFailure | undefined
}

/** What is wrong with a field; undefined where something else is, or nothing. */
export function errorOf(failure: FormFailure | undefined, field: string): string | undefined {
  return failure?.field === field ? failure.message : undefined
}

/** What the owner calls a key. */
export function NameField({ value, failure }: FieldProps) {
  const hint = 'What uses it, such as: Nightly report'
  const error = errorOf(failure, 'name')
  return <TextField name="name" label="Name" hint={hint} value={value} error={error} required maxLength={100} />
}

export function DescriptionField({ value, failure }: FieldProps) {
  const error = errorOf(failure, 'description')
  return <TextField name="description" label="Description" value={value} error={error} maxLength={500} />
}

interface NetworksFieldProps extends FieldProps {
  /** Of the owner, which bound the key besides; empty: none. */
  readonly ownerNetworks?: readonly string[] | undefined
}

/** @param props.value each separated by a space */
export function NetworksField({ value, failure, ownerNetworks = [] }: NetworksFieldProps) {
  const anywhere =
    ownerNetworks.length === 0 ? 'from anywhere' : `from ${ownerNetworks.join(' ')}, where your account may be used`
  const hint = `From where it may be used, such as 192.0.2.0/24; several with a space between. Left empty: ${anywhere}.`
  return (
    <TextField
      name="networks"
      label="Networks"
      hint={hint}
      value={value}
      error={errorOf(failure, 'networks')}
      verbatim
    />
  )
}
