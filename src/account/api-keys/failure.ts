import { ConflictError, InvalidValueError } from '../../platform/administration-errors.js'

/** Why a form was not done, for the page that shows it again with all that was filled in. */
export interface FormFailure {
  readonly message: string
  /** By its name on the wire; undefined: it is about none, or about none of the form's. */
  readonly field?: string | undefined
  readonly status: 400 | 409
}

/** @throws whatever is not about what was asked for */
export function failureOf(thrown: unknown): FormFailure {
  if (thrown instanceof InvalidValueError) return { message: thrown.message, field: thrown.field, status: 400 }
  if (thrown instanceof ConflictError) return { message: thrown.message, status: 409 }
  throw thrown
}
