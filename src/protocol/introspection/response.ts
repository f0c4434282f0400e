/** RFC 7662 §2.2. */
export type IntrospectionResponse =
  | { readonly active: false }
  | ({ readonly active: true } & Readonly<Record<string, unknown>>)

/** One answer for whatever is not active, and for whoever may not know. RFC 7662 §2.2, §4 (attack 82). */
export const inactive = { active: false } as const
