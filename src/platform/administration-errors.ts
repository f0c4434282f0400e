/**
 * Why something that an administrator asked for was not done. The message is one sentence or two for that person: what
 * is wrong, and what to do. It never repeats a secret. Nothing was changed.
 */
export abstract class AdministrationError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
  }
}

export type Noun =
  | 'client'
  | 'user'
  | 'resource'
  | 'role'
  | 'tier'
  | 'grant'
  | 'session'
  | 'token'
  | 'key'
  | 'message'
  | 'api-key'
  | 'gateway'
  | 'registration-token'

/** There is no such thing. */
export class NotFoundError extends AdministrationError {
  readonly kind = 'not_found'
  readonly noun: Noun

  constructor(noun: Noun, message: string) {
    super(message)
    this.noun = noun
  }
}

/** It cannot be done as things stand: a name is taken, say. */
export class ConflictError extends AdministrationError {
  readonly kind = 'conflict'
}

/** A value may not be what it is. */
export class InvalidValueError extends AdministrationError {
  readonly kind = 'invalid'
  /** Which one, by its name on the wire, where the message is about one. */
  readonly field: string | undefined

  constructor(message: string, { field, ...options }: ErrorOptions & { readonly field?: string } = {}) {
    super(message, options)
    this.field = field
  }
}

/** A value that only an administrator may give. */
export class ReservedValueError extends InvalidValueError {}
