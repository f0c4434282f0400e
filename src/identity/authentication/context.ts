/** How a user proved who they are. */
export interface AuthenticationContext {
  /** OIDC Core §2: the class of the proof. */
  readonly acr: string
  /** RFC 8176. */
  readonly amr: readonly string[]
}

/** One factor, and all that there is by now. */
export const byPassword: AuthenticationContext = { acr: '1', amr: ['pwd'] }

/** Classes that can be asked for, from the weakest on. */
export const acrValues: readonly string[] = [byPassword.acr]
