import { InvalidValueError } from '../platform/administration-errors.js'

/** @param field the member on the wire that it is about */
export function invalid(field: string, message: string): InvalidValueError {
  return new InvalidValueError(message, { field })
}
