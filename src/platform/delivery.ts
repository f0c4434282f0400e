/** What came of an attempt to deliver a message. Reasons are words of ours. */
export type Outcome =
  | { readonly kind: 'delivered' }
  /** Another attempt may do better. @property wait seconds that the other side asked for, for all that is meant for it */
  | { readonly kind: 'failed'; readonly reason: string; readonly wait?: number | undefined }
  /** It will never be taken. */
  | { readonly kind: 'refused'; readonly reason: string }

export interface Call {
  readonly signal: AbortSignal
  /** Milliseconds. */
  readonly timeout: number
}
