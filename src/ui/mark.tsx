/** Ostiary's mark: a door with its keyhole. It takes the colour of the text around it and says nothing to a screen reader. */
export function Mark({ size = 28 }: { readonly size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" fill="currentColor" aria-hidden="true" focusable="false">
      <path
        fill-rule="evenodd"
        d="M16 2C9.4 2 5 6.7 5 13v15.5c0 .8.7 1.5 1.5 1.5h19c.8 0 1.5-.7 1.5-1.5V13C27 6.7 22.6 2 16 2Zm0 10.2a3.7 3.7 0 0 0-1.9 6.9l-1 5.1c-.1.5.3 1 .8 1h4.2c.5 0 .9-.5.8-1l-1-5.1a3.7 3.7 0 0 0-1.9-6.9Z"
      />
    </svg>
  )
}

/** The tick of a permission that is part of the request and cannot be taken out of it. */
export function LockedTick() {
  return (
    <svg width="20" height="20" viewBox="0 0 20 20" fill="currentColor" aria-hidden="true" focusable="false">
      <path
        fill-rule="evenodd"
        d="M3 0h14a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3Zm5.4 15 8-8.6-1.8-1.7-6.2 6.7-3-3.1-1.8 1.8L8.4 15Z"
      />
    </svg>
  )
}

export function Lock() {
  return (
    <svg width="14" height="14" viewBox="0 0 14 14" fill="currentColor" aria-hidden="true" focusable="false">
      <path
        fill-rule="evenodd"
        d="M4 5.5V4a3 3 0 0 1 6 0v1.5h.5A1.5 1.5 0 0 1 12 7v4.5a1.5 1.5 0 0 1-1.5 1.5h-7A1.5 1.5 0 0 1 2 11.5V7a1.5 1.5 0 0 1 1.5-1.5H4Zm1.4 0h3.200V4a1.600 1.600 0 0 0-3.200 0v1.5Z"
      />
    </svg>
  )
}
