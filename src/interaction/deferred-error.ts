import { OAuthError, type OAuthErrorOptions } from '../oauth/index.js'

/** A refusal that waited until its user had signed in, with the code that it had before. RFC 9700 §4.11.2. */
export class DeferredError extends OAuthError {
  override readonly code: string

  constructor(message: string, { code, ...options }: OAuthErrorOptions & { readonly code: string }) {
    super(message, options)
    this.code = code
  }
}
